//! A client: one person's (or nobody's) credentials, and what comes back.

use super::server::TestServer;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::sync::Mutex;

/// The session cookie's name.
pub const COOKIE_NAME: &str = "__Host-session";

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body, if it is JSON; null otherwise.
    pub json: Value,
}

impl Reply {
    /// Reads a response to its end.
    pub async fn of(response: Response) -> Self {
        Self::try_of(response).await.unwrap()
    }

    /// The same; `None` when it breaks off.
    pub async fn try_of(response: Response) -> Option<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.ok()?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Self { status, headers, text, json })
    }

    /// What stands at `pointer` (`/a/0/b`) in the data; the test fails when nothing does.
    #[track_caller]
    pub fn data(&self, pointer: &str) -> &Value {
        self.json["data"]
            .pointer(pointer)
            .unwrap_or_else(|| panic!("nothing at {pointer} in {} {}", self.status, self.text))
    }

    /// The same, as text.
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        self.data(pointer)
            .as_str()
            .unwrap_or_else(|| panic!("no text at {pointer} in {}", self.text))
            .to_owned()
    }

    /// The first error's code; empty when there is no error.
    pub fn code(&self) -> &str {
        self.json["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }

    /// The codes of all errors.
    pub fn codes(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["extensions"]["code"].as_str()).collect()
    }

    /// The first error's message.
    pub fn message(&self) -> &str {
        self.json["errors"][0]["message"].as_str().unwrap_or_default()
    }

    /// What is wrong with `field` in a BAD_USER_INPUT.
    pub fn field(&self, field: &str) -> &Value {
        &self.json["errors"][0]["extensions"]["fields"][field]
    }

    /// Fails the test unless there are data and no errors.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status == 200 && self.json["errors"].is_null(), "{} {}", self.status, self.text);
        self
    }

    /// Fails the test unless the first error's code is `code`.
    #[track_caller]
    pub fn refused(self, code: &str) -> Self {
        assert_eq!(self.code(), code, "{} {}", self.status, self.text);
        self
    }

    /// The body without what differs from one request to the next.
    pub fn comparable(&self) -> Value {
        let mut json = self.json.clone();
        json.as_object_mut().map(|answer| answer.remove("extensions"));
        for error in json["errors"].as_array_mut().into_iter().flatten() {
            if let Some(extensions) = error["extensions"].as_object_mut() {
                extensions.remove("requestId");
            }
        }
        json
    }

    /// A header's text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Who speaks to the server. Holds a token or a cookie after signing in.
#[derive(Debug)]
pub struct Client {
    /// The server.
    pub server: TestServer,
    /// The account's wire id, once signed in.
    pub id: String,
    /// The account's name; empty for nobody's client.
    pub username: String,
    /// Its address.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Sent as `X-CSRF-Token`.
    pub csrf: Option<String>,
    jar: Mutex<Option<String>>,
}

impl Client {
    /// A client without credentials.
    pub fn new(server: TestServer) -> Self {
        Self {
            server,
            id: String::new(),
            username: String::new(),
            email: String::new(),
            password: String::new(),
            token: None,
            csrf: None,
            jar: Mutex::new(None),
        }
    }

    /// The session cookie's value, if one is held.
    pub fn cookie(&self) -> Option<String> {
        self.jar.lock().unwrap().clone()
    }

    /// Holds `value` as the session cookie.
    pub fn set_cookie(&self, value: Option<String>) {
        *self.jar.lock().unwrap() = value;
    }

    /// A request with this client's credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.server.http.request(method, self.server.url(path));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(cookie) = self.cookie() {
            request = request.header(COOKIE, format!("{COOKIE_NAME}={cookie}"));
        }
        if let Some(csrf) = &self.csrf {
            request = request.header("x-csrf-token", csrf);
        }
        request
    }

    /// Sends `request` and keeps the cookies of the answer.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        let reply = Reply::of(request.send().await.unwrap()).await;
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            if let Some(value) = pair.strip_prefix(COOKIE_NAME).and_then(|rest| rest.strip_prefix('=')) {
                self.set_cookie((!value.is_empty()).then(|| value.to_owned()));
            }
        }
        reply
    }

    /// GETs `path`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// POSTs `body` to `/graphql` as it is.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> Reply {
        let request = self
            .request(Method::POST, "/graphql")
            .header(ACCEPT, "application/graphql-response+json")
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        self.send(request).await
    }

    /// Runs `document` with `variables`.
    pub async fn query(&self, document: &str, variables: Value) -> Reply {
        self.post(json!({ "query": document, "variables": variables }).to_string()).await
    }

    /// Runs a mutation `field(input: $input) { selection }`; `TypeInput` is the field's name with `Input`.
    pub async fn mutate(&self, field: &str, input: Value, selection: &str) -> Reply {
        let type_name = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let document =
            format!("mutation($input: {type_name}!) {{ {field}(input: $input) {{ {selection} }} }}");
        self.query(&document, json!({ "input": input })).await
    }

    /// Makes a post and returns its id.
    pub async fn create_post(&self, title: &str, visibility: &str) -> String {
        let input = json!({ "title": title, "body": "text", "visibility": visibility });
        self.mutate("createPost", input, "post { id }").await.ok().text_at("/createPost/post/id")
    }

    /// The ids of the posts on the first page of `posts(first: 100)` as this client sees it.
    pub async fn post_ids(&self) -> Vec<String> {
        let reply = self.query("{ posts(first: 100) { edges { node { id } } } }", json!({})).await.ok();
        let edges = reply.data("/posts/edges").as_array().unwrap().clone();
        edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
    }
}
