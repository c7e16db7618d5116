//! What people say about themselves: name and telephone number, both sealed.

#![allow(clippy::disallowed_methods, reason = "scoped to the viewer")]

use crate::access::Identity;
use crate::app::App;
use crate::audit::{Event, Kind, Origin};
use crate::error::{Error, Problems, Result};
use crate::text;
use entity::user::{ActiveModel, Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set};

/// A change; `None` leaves the field, `Some(None)` empties it.
#[derive(Debug, Default)]
pub struct ProfileChange {
    /// At most 100 characters.
    pub full_name: Option<Option<String>>,
    /// 7 to 15 digits, with a leading `+` if international (ITU-T E.164).
    pub phone: Option<Option<String>>,
}

/// The digits of a telephone number, with their `+`.
fn phone_number(text: &str) -> Result<String, &'static str> {
    let wrong = "must be a telephone number of 7 to 15 digits such as +49 30 1234567";
    let text = text.trim();
    let (plus, rest) = text.strip_prefix('+').map_or(("", text), |rest| ("+", rest));
    if text.len() > 40
        || !rest.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')' | '/'))
    {
        return Err(wrong);
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    if (7..=15).contains(&digits.len()) { Ok(format!("{plus}{digits}")) } else { Err(wrong) }
}

/// Changes the viewer's profile.
///
/// # Errors
/// `BAD_USER_INPUT` with both fields' problems.
pub async fn update(app: &App, origin: &Origin, me: &Identity, change: ProfileChange) -> Result<Model> {
    let mut problems = Problems::default();
    let id = me.user_id();
    let mut row = ActiveModel { updated_at: Set(app.clock.now()), ..Default::default() };
    let mut fields = Vec::new();
    if let Some(full_name) = change.full_name {
        fields.push("fullName");
        let checked = full_name.map(|name| text::line(&name, 1, 100)).transpose();
        let checked = problems.take("fullName", checked).flatten();
        row.full_name = Set(checked.map(|name| app.keyring.seal(id.uuid(), &name)));
    }
    if let Some(phone) = change.phone {
        fields.push("phone");
        let checked = problems.take("phone", phone.as_deref().map(phone_number).transpose()).flatten();
        row.phone = Set(checked.map(|phone| app.keyring.seal(id.uuid(), &phone)));
    }
    problems.finish()?;
    let mut tx = app.audit.begin().await?;
    tx.touch(id);
    let changed =
        Entity::update_many().set(row).filter(Column::Id.eq(id)).exec_with_returning(tx.connection()).await?;
    let user = changed.into_iter().next().ok_or(Error::NotFound)?;
    let event = Event::success(Kind::UserUpdated, "updateProfile").on("user", id);
    tx.commit(origin, event.details(serde_json::json!({ "fields": fields }))).await?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 2.2.1
    #[test]
    fn telephone_numbers_are_digits() {
        assert_eq!(phone_number(" +49 (30) 123-45.67 "), Ok("+49301234567".to_owned()));
        assert_eq!(phone_number("1234567"), Ok("1234567".to_owned()));
        assert!(phone_number("123456").is_err());
        assert_eq!(phone_number("123456789012345"), Ok("123456789012345".to_owned()));
        assert!(phone_number("1234567890123456").is_err());
        for bad in ["", "+", "12+34567", "1234567;ext", "１２３４５６７", "123\n4567", "<1234567>"] {
            assert!(phone_number(bad).is_err(), "{bad:?}");
        }
    }
}
