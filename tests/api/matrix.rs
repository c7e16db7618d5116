//! Who may do what: every root field, asked by everybody of what is theirs, others' or not there.
//!
//! The outcome is `docs/access-matrix.md`, which people read in review: `make schema` refreshes it. A
//! field of the schema that has no line in [`CASES`] fails the test.

use crate::harness::{Client, TestServer};
use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{BaseType, FieldDefinition, Type, TypeKind, TypeSystemDefinition};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// What a field is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Nothing,
    PublicPost,
    PrivatePost,
    User,
    Session,
    Ban,
}

impl About {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::PublicPost => "public post",
            Self::PrivatePost => "private post",
            Self::User => "account",
            Self::Session => "session",
            Self::Ban => "ban",
        }
    }
}

/// One way to ask for a field: `Type.field`, what it is about, and a document, which has `$id` for that.
type Case = (&'static str, About, &'static str);

/// A line for each root field and each kind of thing that it is about.
const CASES: &[Case] = &[
    ("Query.me", About::Nothing, "{ me { id } }"),
    ("Query.user", About::User, "query($id: ID!) { user(id: $id) { id } }"),
    ("Query.users", About::Nothing, "{ users { edges { node { id } } } }"),
    ("Query.post", About::PublicPost, "query($id: ID!) { post(id: $id) { id } }"),
    ("Query.post", About::PrivatePost, "query($id: ID!) { post(id: $id) { id } }"),
    ("Query.posts", About::Nothing, "{ posts { edges { node { id } } } }"),
    ("Query.auditEvents", About::Nothing, "{ auditEvents { edges { node { id } } } }"),
    (
        "Mutation.register",
        About::Nothing,
        "mutation { register(input: { username: \"new\", email: \"new@example.org\", password: \"quiet lantern under seven maps\" }) { accepted } }",
    ),
    (
        "Mutation.login",
        About::Nothing,
        "mutation { login(input: { identifier: \"nobody\", password: \"wrong\" }) { status } }",
    ),
    ("Query.auditIntegrity", About::Nothing, "{ auditIntegrity { __typename } }"),
    ("Query.bans", About::Nothing, "{ bans { edges { node { id } } } }"),
    ("Query.securityOverview", About::Nothing, "{ securityOverview { __typename } }"),
    (
        "Mutation.banAddress",
        About::Nothing,
        "mutation { banAddress(input: { address: \"192.0.2.1\", reason: \"r\" }) { ban { id } } }",
    ),
    ("Mutation.liftBan", About::Ban, "mutation($id: ID!) { liftBan(input: { id: $id }) { __typename } }"),
    (
        "Mutation.completeMfaLogin",
        About::Nothing,
        "mutation { completeMfaLogin(input: { mfaToken: \"none\", code: \"000000\" }) { status } }",
    ),
    (
        "Mutation.reauthenticate",
        About::Nothing,
        "mutation { reauthenticate(input: { password: \"wrong\" }) { __typename } }",
    ),
    (
        "Mutation.changePassword",
        About::Nothing,
        "mutation { changePassword(input: { currentPassword: \"wrong\", newPassword: \"short\" }) { __typename } }",
    ),
    (
        "Mutation.requestPasswordReset",
        About::Nothing,
        "mutation { requestPasswordReset(input: { email: \"nobody@example.org\" }) { __typename } }",
    ),
    (
        "Mutation.resetPassword",
        About::Nothing,
        "mutation { resetPassword(input: { token: \"none\", newPassword: \"quiet lantern under seven maps\" }) { __typename } }",
    ),
    ("Mutation.exportMyData", About::Nothing, "mutation { exportMyData(after: \"none\") { __typename } }"),
    (
        "Mutation.deleteMyAccount",
        About::Nothing,
        "mutation { deleteMyAccount(input: { password: \"wrong\" }) { __typename } }",
    ),
    (
        "Mutation.changeEmail",
        About::Nothing,
        "mutation { changeEmail(input: { newEmail: \"newer@example.org\" }) { __typename } }",
    ),
    (
        "Mutation.verifyEmail",
        About::Nothing,
        "mutation { verifyEmail(input: { token: \"none\" }) { __typename } }",
    ),
    (
        "Mutation.updateProfile",
        About::Nothing,
        "mutation { updateProfile(input: { fullName: \"Some Body\" }) { __typename } }",
    ),
    ("Mutation.enrollMfa", About::Nothing, "mutation { enrollMfa { __typename } }"),
    (
        "Mutation.confirmMfa",
        About::Nothing,
        "mutation { confirmMfa(input: { code: \"000000\" }) { __typename } }",
    ),
    (
        "Mutation.disableMfa",
        About::Nothing,
        "mutation { disableMfa(input: { code: \"000000\" }) { __typename } }",
    ),
    ("Mutation.regenerateBackupCodes", About::Nothing, "mutation { regenerateBackupCodes { __typename } }"),
    (
        "Mutation.resetUserMfa",
        About::User,
        "mutation($id: ID!) { resetUserMfa(input: { id: $id, reason: \"r\" }) { user { id } } }",
    ),
    (
        "Mutation.refreshSession",
        About::Nothing,
        "mutation { refreshSession(input: { refreshToken: \"none\" }) { __typename } }",
    ),
    ("Mutation.logout", About::Nothing, "mutation { logout { done } }"),
    (
        "Mutation.revokeSession",
        About::Session,
        "mutation($id: ID!) { revokeSession(input: { id: $id }) { __typename } }",
    ),
    ("Mutation.revokeOtherSessions", About::Nothing, "mutation { revokeOtherSessions { __typename } }"),
    (
        "Mutation.createPost",
        About::Nothing,
        "mutation { createPost(input: { title: \"t\", body: \"b\" }) { post { id } } }",
    ),
    (
        "Mutation.updatePost",
        About::PublicPost,
        "mutation($id: ID!) { updatePost(input: { id: $id, title: \"x\" }) { post { id } } }",
    ),
    (
        "Mutation.updatePost",
        About::PrivatePost,
        "mutation($id: ID!) { updatePost(input: { id: $id, title: \"x\" }) { post { id } } }",
    ),
    (
        "Mutation.deletePost",
        About::PublicPost,
        "mutation($id: ID!) { deletePost(input: { id: $id }) { deletedId } }",
    ),
    (
        "Mutation.deletePost",
        About::PrivatePost,
        "mutation($id: ID!) { deletePost(input: { id: $id }) { deletedId } }",
    ),
    (
        "Mutation.setUserRole",
        About::User,
        "mutation($id: ID!) { setUserRole(input: { id: $id, role: MODERATOR, reason: \"r\" }) { user { id } } }",
    ),
    (
        "Mutation.setUserActive",
        About::User,
        "mutation($id: ID!) { setUserActive(input: { id: $id, active: false, reason: \"r\" }) { user { id } } }",
    ),
    (
        "Mutation.unlockUser",
        About::User,
        "mutation($id: ID!) { unlockUser(input: { id: $id }) { user { id } } }",
    ),
    (
        "Mutation.revokeUserSessions",
        About::User,
        "mutation($id: ID!) { revokeUserSessions(input: { id: $id }) { user { id } } }",
    ),
    (
        "Mutation.deleteUser",
        About::User,
        "mutation($id: ID!) { deleteUser(input: { id: $id, reason: \"r\" }) { deletedId } }",
    ),
];

/// Object types with fields that are not for everyone, and how an anonymous document reaches one by a
/// public post of its owner.
const TYPES: &[(&str, &str)] = &[("User", "query($id: ID!) { post(id: $id) { author { FIELD } } }")];

/// Who asks.
const VIEWERS: [&str; 5] = ["anonymous", "user", "moderator", "admin", "admin, not recent"];
/// Longer than `recent_auth_minutes`.
const NOT_RECENT: Duration = Duration::from_secs(11 * 60);

/// Whose the thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Foreign,
    Missing,
}

struct Field {
    rule: String,
    composite: bool,
}

/// The fields of object type `name`, in order.
fn fields(sdl: &str, name: &str) -> Vec<(String, Field)> {
    let objects: BTreeSet<String> = definitions(sdl)
        .into_iter()
        .filter_map(|(name, kind)| matches!(kind, TypeKind::Object(_)).then_some(name))
        .collect();
    let Some((_, TypeKind::Object(object))) = definitions(sdl).into_iter().find(|(other, _)| other == name)
    else {
        return Vec::new();
    };
    let field = |definition: FieldDefinition| {
        let rules = definition.directives.iter().filter_map(|directive| {
            let argument = directive.node.arguments.first().map(|(_, value)| format!("({})", value.node));
            let name = directive.node.name.node.as_str();
            ["public", "signedIn", "requires", "ownerOr", "ownerOnly", "recentAuth"]
                .contains(&name)
                .then(|| format!("@{name}{}", argument.unwrap_or_default()))
        });
        let rule = rules.collect::<Vec<_>>().join(" ");
        Field { rule, composite: objects.contains(base(&definition.ty.node)) }
    };
    object.fields.into_iter().map(|f| (f.node.name.node.to_string(), field(f.node))).collect()
}

fn definitions(sdl: &str) -> Vec<(String, TypeKind)> {
    let document = parse_schema(sdl).unwrap();
    document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some((ty.node.name.node.to_string(), ty.node.kind)),
            _ => None,
        })
        .collect()
}

fn base(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => base(item),
    }
}

/// The stage: a server, one person of each role, and somebody else.
struct Stage {
    server: TestServer,
    people: Vec<Client>,
    other: Client,
    extras: u32,
}

impl Stage {
    async fn new(server: TestServer) -> Self {
        let people = vec![
            server.anonymous(),
            server.user("ada").await,
            server.moderator().await,
            server.admin().await,
        ];
        let other = server.user("other").await;
        Self { server, people, other, extras: 0 }
    }

    /// What happens when `viewer` asks `document` about a fresh thing.
    async fn outcome(&mut self, viewer: usize, about: About, whose: Whose, document: &str) -> String {
        let recent = VIEWERS[viewer] != "admin, not recent";
        let mine = viewer.min(3);
        if mine > 0 {
            self.people[mine].login().await;
        }
        self.other.login().await;
        let owner = if whose == Whose::Own { &self.people[mine] } else { &self.other };
        let id = match (about, whose) {
            (About::Nothing, _) => String::new(),
            (About::PublicPost | About::PrivatePost, Whose::Missing) => {
                "post_019b76da800070008000000000000001".to_owned()
            }
            (About::User, Whose::Missing) => "usr_019b76da800070008000000000000001".to_owned(),
            (About::Session, Whose::Missing) => "ses_019b76da800070008000000000000001".to_owned(),
            (About::Ban, Whose::Missing) => "ban_019b76da800070008000000000000001".to_owned(),
            (About::Ban, _) => {
                self.people[3].login().await;
                self.extras += 1;
                let input = json!({ "address": format!("198.51.100.{}", self.extras % 200), "reason": "r" });
                let reply = self.people[3].mutate("banAddress", input, "ban { id }").await.ok();
                reply.text_at("/banAddress/ban/id")
            }
            (About::PublicPost, _) => owner.create_post("post", "PUBLIC").await,
            (About::PrivatePost, _) => owner.create_post("post", "PRIVATE").await,
            (About::User, Whose::Own) => owner.id.clone(),
            (About::User, Whose::Foreign) => {
                self.extras += 1;
                self.server.user(&format!("extra{}", self.extras)).await.id
            }
            (About::Session, _) => {
                let fresh = self.server.anonymous();
                let reply = fresh.try_login(&owner.username, &owner.password, "TOKEN").await.ok();
                reply.text_at("/login/session/id")
            }
        };
        if !recent {
            self.server.advance(NOT_RECENT);
        }
        let variables = if id.is_empty() { json!({}) } else { json!({ "id": id }) };
        let reply = self.people[mine].query(document, variables).await;
        match reply.code() {
            "" if reply.json["data"].as_object().unwrap().values().all(Value::is_null) => "null".to_owned(),
            "" => "ok".to_owned(),
            code => code.to_owned(),
        }
    }

    /// The rows of one field about one kind of thing.
    async fn rows(
        &mut self,
        field: &str,
        rule: &str,
        about: About,
        document: &str,
        whose: &[Whose],
    ) -> String {
        let mut rows = String::new();
        let name = if document.contains("author") { "account" } else { about.name() };
        for whose in whose {
            let thing = match (about, whose) {
                (About::Nothing, _) => String::new(),
                (_, Whose::Own) => format!("own {name}"),
                (_, Whose::Foreign) => format!("other's {name}"),
                (_, Whose::Missing) => format!("missing {name}"),
            };
            let _ = write!(rows, "| {field} | {rule} | {thing} |");
            for viewer in 0..VIEWERS.len() {
                let nobodys_own = viewer == 0 && *whose == Whose::Own && about != About::Nothing;
                let outcome = if nobodys_own {
                    "–".to_owned()
                } else {
                    self.outcome(viewer, about, *whose, document).await
                };
                let _ = write!(rows, " {outcome} |");
            }
            rows.push('\n');
        }
        rows
    }
}

const HEAD: &str = "# Who may do what

Made by `tests/api/matrix.rs` asking a running server; `make schema` refreshes it. Each line is a field, its
rule in the schema, and what it is asked about; each column is who asks. `ok`: done. `null`: nothing to
show. `–`: cannot be. Anything else is the error's code. *Not recent*: signed in more than ten minutes ago.
";

const ALL: [Whose; 3] = [Whose::Own, Whose::Foreign, Whose::Missing];

both! {
    /// ASVS: 8.1.1, 8.2.1, 8.2.2, 8.2.3, 8.3.1
    async fn the_access_matrix_is_current(server: TestServer) {
        let sdl = server.engine.sdl().to_owned();
        let mut stage = Stage::new(server).await;
        let mut text = HEAD.to_owned();
        let columns = VIEWERS.join(" | ");
        let head = format!("\n| field | rule | about | {columns} |\n|---|---|---|{}\n", "---|".repeat(VIEWERS.len()));
        let mut used = BTreeSet::new();
        for root in ["Query", "Mutation"] {
            let _ = write!(text, "\n## {root}\n{head}");
            for (name, field) in fields(&sdl, root) {
                let full = format!("{root}.{name}");
                let cases: Vec<&Case> = CASES.iter().filter(|case| case.0 == full).collect();
                assert!(!cases.is_empty(), "{full} has no line in CASES of tests/api/matrix.rs: say how it is asked");
                for (_, about, document) in cases {
                    let whose = match about {
                        About::Nothing => &ALL[..1],
                        About::Ban => &ALL[1..],
                        _ => &ALL[..],
                    };
                    text += &stage.rows(&name, &field.rule, *about, document, whose).await;
                }
                used.insert(full);
            }
        }
        for (field, ..) in CASES {
            assert!(used.contains(*field), "{field} is in CASES of tests/api/matrix.rs but not in the schema");
        }
        for (type_name, _) in definitions(&sdl) {
            if ["Query", "Mutation", "Subscription"].contains(&&*type_name) {
                continue;
            }
            let limited: Vec<_> = fields(&sdl, &type_name)
                .into_iter()
                .filter(|(_, field)| !field.rule.is_empty() && field.rule != "@public")
                .collect();
            if limited.is_empty() {
                continue;
            }
            let document = TYPES.iter().find(|(name, _)| *name == type_name).map(|(_, document)| *document);
            let document = document.unwrap_or_else(|| panic!("{type_name} has no line in TYPES of tests/api/matrix.rs"));
            let _ = write!(text, "\n## {type_name}\n{head}");
            for (name, field) in limited {
                let selection = if field.composite { format!("{name} {{ __typename }}") } else { name.clone() };
                let document = document.replace("FIELD", &format!("id {selection}"));
                text += &stage.rows(&name, &field.rule, About::PublicPost, &document, &ALL[..2]).await;
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access-matrix.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        for (found, expected) in text.lines().zip(committed.lines()) {
            assert_eq!(found, expected, "docs/access-matrix.md is stale: run `make schema` and review what changed");
        }
        assert_eq!(text.lines().count(), committed.lines().count(), "docs/access-matrix.md is stale: run `make schema`");
    }
}
