//! Which path leads where, and what each takes.

use super::door::Door;
use super::inbound::GraphqlRequest;
use super::passage::Passage;
use super::refusal::Refusal;
use super::websocket::Handshake;
use super::{body, cors, csrf, overload, playground, websocket};
use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::{CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Method, Response, StatusCode};
use std::time::Duration;
use warp::ws::Ws;
use warp::{Filter, Rejection, Reply};

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// `/graphql` as a WebSocket.
    Socket(Ws),

    /// `/graphql`
    Graphql,
    /// `/health`: the process runs.
    Live,
    /// `/health/ready`: it can do its work.
    Ready,
    /// `/csrf`: a token for the cookie session.
    Csrf,
    /// `/.well-known/jwks.json`
    Jwks,
    /// `/graphiql` and the files below it.
    Playground(String),
}

/// The table of paths.
pub(crate) fn route() -> impl Filter<Extract = (Route,), Error = Rejection> + Clone {
    // Only a GET that asks for the upgrade passes `ws`; everything else is plain HTTP.
    let socket = warp::path!("graphql").and(warp::ws()).map(Route::Socket);
    let graphql = warp::path!("graphql").map(|| Route::Graphql);
    let live = warp::path!("health").map(|| Route::Live);
    let ready = warp::path!("health" / "ready").map(|| Route::Ready);
    let csrf = warp::path!("csrf").map(|| Route::Csrf);
    let jwks = warp::path!(".well-known" / "jwks.json").map(|| Route::Jwks);
    let playground = warp::path("graphiql")
        .and(warp::path::tail())
        .map(|tail: warp::path::Tail| Route::Playground(tail.as_str().to_owned()));
    socket
        .or(graphql)
        .unify()
        .or(live)
        .unify()
        .or(ready)
        .unify()
        .or(csrf)
        .unify()
        .or(jwks)
        .unify()
        .or(playground)
        .unify()
}

/// Follows `route` with the request's body still unread.
pub(crate) async fn follow<S, B, E>(
    passage: Passage,
    route: Route,
    body: S,
) -> Result<warp::reply::Response, Rejection>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let methods = if matches!(route, Route::Graphql) { "GET, POST, OPTIONS" } else { "GET, HEAD, OPTIONS" };
    if !methods.split(", ").any(|method| method == passage.method.as_str()) {
        return Err(Refusal::method(methods).into());
    }
    if passage.method == Method::OPTIONS {
        return Ok(cors::options(&passage, methods).map(Into::into));
    }
    let backend = passage.door.backend();
    let response = match route {
        Route::Graphql => graphql(&passage, body).await?,
        Route::Socket(upgrade) => return Ok(socket(passage, upgrade)?),
        Route::Live => json(StatusCode::OK, "{\"status\":\"ok\"}".into()),
        Route::Ready => ready(&passage.door).await,
        Route::Csrf => match backend.csrf_token(&passage.inbound, &passage.headers).await {
            Some(token) => json(StatusCode::OK, serde_json::json!({ "csrfToken": token }).to_string().into()),
            None => return Err(Refusal::UNAUTHENTICATED.into()),
        },
        Route::Jwks => json(StatusCode::OK, backend.jwks()),
        Route::Playground(path) => playground::serve(&passage, &path).await?,
    };
    Ok(response.map(Into::into))
}

/// Reads the body and asks the application.
async fn graphql<S, B, E>(passage: &Passage, body: S) -> Result<Response<Bytes>, Refusal>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let config = passage.door.config();
    let limits =
        body::Limits { bytes: config.max_body_bytes, time: Duration::from_millis(config.body_timeout_ms) };
    let address = passage.inbound.address;
    let _one = passage.door.requests().take(address).ok_or(Refusal::OVERLOADED.after(1))?;
    let body = if passage.method == Method::POST {
        if !csrf::forces_preflight(&passage.headers) {
            return Err(Refusal::MEDIA_TYPE);
        }
        body::announced(&passage.headers, limits)?;
        body::read(passage.door.clock(), limits, body).await?
    } else {
        Bytes::new()
    };
    let _place = overload::place(passage)?;
    let request = GraphqlRequest {
        inbound: passage.inbound.clone(),
        method: passage.method.clone(),
        headers: passage.headers.clone(),
        query: passage.query.clone(),
        body,
    };
    Ok(passage.door.backend().graphql(request).await)
}

/// Takes the connection over for a WebSocket.
fn socket(passage: Passage, upgrade: Ws) -> Result<warp::reply::Response, Refusal> {
    let Passage { door, inbound, headers, .. } = passage;
    let held = door.sockets().take(inbound.address).ok_or(Refusal::RATE_LIMITED.after(10))?;
    let message = usize::try_from(door.config().max_body_bytes).unwrap_or(usize::MAX);
    let is_offered = websocket::is_offered(&headers);
    let task = door.tasks().token();
    let handshake = Handshake { door, inbound, headers, held, task };
    let mut response = upgrade
        .max_message_size(message)
        .max_frame_size(message)
        .max_write_buffer_size(1 << 20)
        .on_upgrade(move |socket| websocket::speak(handshake, socket))
        .into_response();
    if is_offered {
        let name = HeaderValue::from_static(websocket::PROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    Ok(response)
}

/// Whether the service can do its work.
pub(crate) async fn ready(door: &Door) -> Response<Bytes> {
    let state = door.backend().ready().await;
    let status = if state.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, state.parts.to_string().into())
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
