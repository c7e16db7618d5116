//! Accounts in the schema.

use super::{address, attempts, email, find, profile, register, username::Username};
use crate::access::role;
use crate::error::{Error, Result};
use crate::graphql::context::RequestContext;
use crate::graphql::directives::{
    cost, owner_only, owner_or, public, rate_limit, recent_auth, requires, signed_in,
};
use crate::graphql::guard::declared;
use crate::graphql::page::{self, Connection};
use crate::graphql::scalars::{DateTime, PermissionName, RateClass, Role};
use crate::graphql::{id, sealed};
use crate::page::Page;
use crate::posts::graphql::Post;
use crate::sessions::graphql::Session;
use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use entity::user::Model;
use secrecy::SecretString;

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct User(pub Model);

/// A person. Names and role are public; personal data is for themselves and READ_USERS.
#[Object(guard = "declared(\"User\").owned_by(self.0.id)")]
impl User {
    /// The account's id.
    #[graphql(directive = public::apply())]
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The name they chose.
    #[graphql(directive = public::apply())]
    async fn username(&self) -> &str {
        &self.0.username
    }

    /// What they may do.
    #[graphql(directive = public::apply())]
    async fn role(&self) -> Role {
        self.0.role.into()
    }

    /// When the account was made.
    #[graphql(directive = public::apply())]
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// What their role allows.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn permissions(&self) -> Option<Vec<PermissionName>> {
        Some(role::permissions(self.0.role).iter().map(|permission| (*permission).into()).collect())
    }

    /// Their address; sealed at rest.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), Some(&self.0.email)).await
    }

    /// Whether they proved that the address is theirs.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn email_verified(&self) -> Option<bool> {
        Some(self.0.email_verified_at.is_some())
    }

    /// Their name; sealed at rest.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn full_name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.full_name.as_ref()).await
    }

    /// Their telephone number; sealed at rest.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn phone(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        sealed::open(RequestContext::of(ctx), self.0.id.uuid(), self.0.phone.as_ref()).await
    }

    /// Whether they may sign in and act.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn is_active(&self) -> Option<bool> {
        Some(self.0.is_active)
    }

    /// No password is tried for the account before then, from devices that never signed in to it; null
    /// when it is not locked. For those who can unlock it: it would tell an attacker how they fare.
    #[graphql(directive = requires::apply(PermissionName::WriteUsers), directive = cost::apply(2, None))]
    async fn locked_until(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let app = &RequestContext::of(ctx).app;
        let (_, until) = attempts::standing(app, app.db.reader(), self.0.id).await?;
        Ok(until.map(Into::into))
    }

    /// Their sessions that have not ended, newest first.
    #[graphql(directive = owner_or::apply(PermissionName::AdminAccess), directive = cost::apply(10, None))]
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Session>>> {
        let rows = RequestContext::of(ctx).loaders.sessions.load_one(self.0.id).await?.unwrap_or_default();
        Ok(Some(rows.into_iter().map(Session).collect()))
    }

    /// Whether a second factor is enrolled.
    #[graphql(directive = owner_or::apply(PermissionName::ReadUsers))]
    async fn mfa_enabled(&self) -> Option<bool> {
        Some(self.0.mfa_enrolled_at.is_some())
    }

    /// Backup codes that have not been used.
    #[graphql(directive = owner_only::apply(), directive = cost::apply(2, None))]
    async fn backup_codes_left(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        let left = find::backup_codes_left(RequestContext::of(ctx).app.db.reader(), self.0.id).await?;
        Ok(i32::try_from(left).ok())
    }

    /// Their posts that the viewer may read, newest first.
    #[graphql(directive = public::apply(), directive = cost::apply(1, Some(vec!["first".to_owned()])))]
    async fn posts(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Post>> {
        let request = RequestContext::of(ctx);
        let page = page::request(&request.app, "posts", first, after.as_deref())?;
        let rows = request.loaders.posts.load_one((self.0.id, page)).await?.unwrap_or_default();
        let author = self.0.clone();
        Ok(page::connection(
            &request.app,
            "posts",
            page,
            rows,
            |post| post.id.uuid(),
            |post| Post { row: post, author: Some(author.clone()) },
        ))
    }
}

/// Which accounts to list; whatever is absent does not matter.
#[derive(Debug, InputObject)]
pub struct UserFilter {
    /// With this role.
    role: Option<Role>,
    /// That may (or may not) sign in.
    is_active: Option<bool>,
    /// With exactly this address, found through the blind index.
    email: Option<String>,
    /// Whose name begins so.
    username: Option<String>,
}

/// Reading accounts.
#[derive(Debug, Default)]
pub struct AccountQuery;

/// Reading accounts.
#[Object(guard = "declared(\"Query\")")]
impl AccountQuery {
    /// Who is signed in; null when nobody is.
    #[graphql(directive = public::apply())]
    async fn me(&self, ctx: &Context<'_>) -> Option<User> {
        RequestContext::of(ctx).viewer.identity().map(|identity| User((*identity.user).clone()))
    }

    /// An account by id.
    #[graphql(directive = requires::apply(PermissionName::ReadUsers))]
    async fn user(&self, ctx: &Context<'_>, id: ID) -> Result<Option<User>> {
        let request = RequestContext::of(ctx);
        let id = id::parse("id", &id)?;
        let user = find::by_id(&request.app, id).await?.ok_or(Error::NotFound)?;
        find::note_read(&request.app, &request.origin, Some(id)).await?;
        Ok(Some(User(user)))
    }

    /// Accounts, newest first.
    #[graphql(
        directive = requires::apply(PermissionName::ReadUsers),
        directive = cost::apply(1, Some(vec!["first".to_owned()]))
    )]
    async fn users(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<UserFilter>,
    ) -> Result<Option<Connection<User>>> {
        let request = RequestContext::of(ctx);
        let page: Page = page::request(&request.app, "users", first, after.as_deref())?;
        let filter = filter.map(UserFilter::checked).unwrap_or_default();
        let rows = find::list(&request.app, &filter, page).await?;
        find::note_read(&request.app, &request.origin, None).await?;
        Ok(Some(page::connection(&request.app, "users", page, rows, |user| user.id.uuid(), User)))
    }
}

impl UserFilter {
    fn checked(self) -> find::Filter {
        find::Filter {
            role: self.role.map(Into::into),
            is_active: self.is_active,
            email: self.email.map(|text| email::normalise(&text)),
            username_prefix: self.username.map(|text| {
                text.parse::<Username>()
                    .map_or_else(|_| crate::text::fold(&text), |name| name.key().to_owned())
            }),
        }
    }
}

/// Who wants an account.
#[derive(InputObject)]
pub struct RegisterInput {
    /// 3 to 32 letters, digits, `_`, `-` or `.`; public.
    username: String,
    /// Where to write to; never shown to others.
    email: String,
    /// 15 characters or more, any of Unicode.
    password: String,
    /// At most 100 characters.
    full_name: Option<String>,
}

/// The same whether or not the name or address was taken.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct RegisterPayload {
    /// The registration was well formed.
    accepted: bool,
}

/// The token from a message.
#[derive(InputObject)]
pub struct VerifyEmailInput {
    /// The token.
    token: String,
}

/// The address is proved.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct VerifyEmailPayload {
    /// Always true.
    done: bool,
}

/// Where the account is to move.
#[derive(InputObject)]
pub struct ChangeEmailInput {
    /// The address to be.
    new_email: String,
}

/// The same whether or not the address is taken.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct ChangeEmailPayload {
    /// The request was well formed.
    accepted: bool,
}

/// What to change of one's own; null empties a field, what is absent stays.
#[derive(InputObject)]
pub struct UpdateProfileInput {
    /// At most 100 characters.
    full_name: MaybeUndefined<String>,
    /// 7 to 15 digits, with a leading `+` if international.
    phone: MaybeUndefined<String>,
}

/// The profile as it is now.
#[derive(Debug, SimpleObject)]
#[graphql(directive = public::apply())]
pub struct UpdateProfilePayload {
    /// The account.
    user: User,
}

/// Absent, null and a value, as the domain has them.
fn change(field: MaybeUndefined<String>) -> Option<Option<String>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(text) => Some(Some(text)),
    }
}

/// Making and keeping accounts.
#[derive(Debug, Default)]
pub struct AccountMutation;

/// Making and keeping accounts.
#[Object(guard = "declared(\"Mutation\")")]
impl AccountMutation {
    /// Asks for an account. The answer does not tell whether the name or address was free.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Register),
        directive = cost::apply(20, None)
    )]
    async fn register(&self, ctx: &Context<'_>, input: RegisterInput) -> Result<Option<RegisterPayload>> {
        let request = RequestContext::of(ctx);
        let registration = register::Registration {
            username: input.username,
            email: input.email,
            password: SecretString::from(input.password),
            full_name: input.full_name,
        };
        register::register(&request.app, &request.origin, registration).await?;
        Ok(Some(RegisterPayload { accepted: true }))
    }

    /// Proves an e-mail address by the token that was sent to it.
    #[graphql(
        directive = public::apply(),
        directive = rate_limit::apply(RateClass::Login),
        directive = cost::apply(5, None)
    )]
    async fn verify_email(
        &self,
        ctx: &Context<'_>,
        input: VerifyEmailInput,
    ) -> Result<Option<VerifyEmailPayload>> {
        let request = RequestContext::of(ctx);
        address::verify(&request.app, &request.origin, &input.token).await?;
        Ok(Some(VerifyEmailPayload { done: true }))
    }

    /// Asks to move the account to another address, which is written to. Whether it is free the answer
    /// does not tell.
    #[graphql(
        directive = signed_in::apply(),
        directive = recent_auth::apply(),
        directive = rate_limit::apply(RateClass::Register),
        directive = cost::apply(10, None)
    )]
    async fn change_email(
        &self,
        ctx: &Context<'_>,
        input: ChangeEmailInput,
    ) -> Result<Option<ChangeEmailPayload>> {
        let request = RequestContext::of(ctx);
        address::ask_change(&request.app, &request.origin, request.identity()?, &input.new_email).await?;
        Ok(Some(ChangeEmailPayload { accepted: true }))
    }

    /// Changes the name and telephone number of the viewer.
    #[graphql(directive = signed_in::apply(), directive = cost::apply(5, None))]
    async fn update_profile(
        &self,
        ctx: &Context<'_>,
        input: UpdateProfileInput,
    ) -> Result<Option<UpdateProfilePayload>> {
        let request = RequestContext::of(ctx);
        let change =
            profile::ProfileChange { full_name: change(input.full_name), phone: change(input.phone) };
        let user = profile::update(&request.app, &request.origin, request.identity()?, change).await?;
        Ok(Some(UpdateProfilePayload { user: User(user) }))
    }
}
