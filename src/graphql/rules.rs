//! The declared rules, read back from the schema's SDL: what reviewers read is what is enforced.
//!
//! Every field of a root carries exactly one access rule, of its own. A field of another type carries
//! one of its own or takes its type's. A field without a rule, or with two, stops the start.

use crate::access::Permission;
use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{ConstDirective, ServiceDocument, TypeKind, TypeSystemDefinition};
use async_graphql_value::ConstValue;
use std::collections::HashMap;

/// Who may use a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `@public`
    Public,
    /// `@signedIn`
    SignedIn,
    /// `@requires`
    Requires(Permission),
    /// `@ownerOr`
    OwnerOr(Permission),
    /// `@ownerOnly`
    OwnerOnly,
}

/// The whole rule of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Who may use it.
    pub access: Access,
    /// `@recentAuth`: only shortly after proving who one is.
    pub recent: bool,
}

/// Type → field → rule.
#[derive(Debug, Clone, Default)]
pub struct Rules(HashMap<String, HashMap<String, Rule>>);

/// The declarations that are missing or contradictory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema does not say who may use: {}", .0.join("; "))]
pub struct Undeclared(pub Vec<String>);

const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

fn permission(directive: &ConstDirective) -> Option<Permission> {
    match &directive.get_argument("permission")?.node {
        ConstValue::Enum(name) => Permission::from_name(name),
        _ => None,
    }
}

/// The access rules among `directives`.
fn accesses<'a>(directives: impl Iterator<Item = &'a ConstDirective>) -> Vec<Access> {
    directives
        .filter_map(|directive| match directive.name.node.as_str() {
            "public" => Some(Access::Public),
            "signedIn" => Some(Access::SignedIn),
            "ownerOnly" => Some(Access::OwnerOnly),
            "requires" => permission(directive).map(Access::Requires),
            "ownerOr" => permission(directive).map(Access::OwnerOr),
            _ => None,
        })
        .collect()
}

impl Rules {
    /// Reads the rules of `sdl`.
    ///
    /// # Errors
    /// Every field without exactly one rule; interfaces and unions, through which guards are not asked.
    pub fn from_sdl(sdl: &str) -> Result<Self, Undeclared> {
        let document: ServiceDocument =
            parse_schema(sdl).map_err(|error| Undeclared(vec![error.to_string()]))?;
        let mut rules = Self::default();
        let mut wrong = Vec::new();
        for definition in document.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let definition = definition.node;
            let name = definition.name.node.to_string();
            let object = match definition.kind {
                TypeKind::Object(object) => object,
                TypeKind::Interface(_) | TypeKind::Union(_) => {
                    wrong.push(format!(
                        "{name} (an interface or union: its fields would be served unguarded)"
                    ));
                    continue;
                }
                _ => continue,
            };
            let of_type = accesses(definition.directives.iter().map(|d| &d.node));
            let root = ROOTS.contains(&name.as_str());
            let fields = rules.0.entry(name.clone()).or_default();
            for field in object.fields {
                let field = field.node;
                let directives = || field.directives.iter().map(|d| &d.node);
                let mut found = accesses(directives());
                if found.is_empty() && !root {
                    found.clone_from(&of_type);
                }
                let recent = directives().any(|d| d.name.node == "recentAuth");
                match found.as_slice() {
                    [access] => {
                        fields.insert(field.name.node.to_string(), Rule { access: *access, recent });
                    }
                    [] => wrong.push(format!("{name}.{} (no rule)", field.name.node)),
                    _ => wrong.push(format!("{name}.{} (more than one rule)", field.name.node)),
                }
            }
        }
        if wrong.is_empty() { Ok(rules) } else { Err(Undeclared(wrong)) }
    }

    /// The rule of `field` on `type_name`.
    #[must_use]
    pub fn get(&self, type_name: &str, field: &str) -> Option<Rule> {
        self.0.get(type_name)?.get(field).copied()
    }

    /// All of them, for the access matrix.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Rule)> {
        self.0
            .iter()
            .flat_map(|(ty, fields)| fields.iter().map(|(field, rule)| (ty.as_str(), field.as_str(), *rule)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// ASVS: 8.1.2, 8.2.1
    #[test]
    fn a_field_without_a_rule_or_with_two_is_refused() {
        let sdl = r"
            type Query { open: Int @public  forgotten: Int  torn: Int @public @signedIn }
            type Post @public { title: String }
            type User { name: String @public  email: String }
        ";
        let wrong = Rules::from_sdl(sdl).unwrap_err().0;
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        for name in ["Query.forgotten (no rule)", "Query.torn (more than one rule)", "User.email (no rule)"] {
            assert!(wrong.iter().any(|line| line == name), "{name} missing in {wrong:?}");
        }
    }

    #[test]
    fn a_root_does_not_inherit_its_types_rule() {
        assert!(Rules::from_sdl("type Query @public { a: Int }").is_err());
    }

    #[test]
    fn interfaces_are_refused_because_guards_are_skipped_through_them() {
        assert!(Rules::from_sdl("interface Node { id: ID } type Query { a: Int @public }").is_err());
    }

    #[test]
    fn rules_are_read_with_their_permission() {
        let rules = Rules::from_sdl(
            "enum Permission { READ_USERS } type Query { a: Int @requires(permission: READ_USERS) @recentAuth }",
        )
        .unwrap();
        assert_eq!(
            rules.get("Query", "a").unwrap(),
            Rule { access: Access::Requires(Permission::ReadUsers), recent: true }
        );
        assert!(rules.get("Query", "b").is_none());
    }
}
