//! Variables by the specification (GraphQL, section 6.1.2), checked before anything runs.
//!
//! async-graphql looks at a variable when it is used: a missing or ill-typed one would fail one field
//! while others run. Here it fails the request. Messages name the place and the type, never the value.

use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{BaseType, OperationDefinition, Type, TypeKind, TypeSystemDefinition};
use async_graphql_value::{ConstValue, Name, Variables};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// A member of an input object.
#[derive(Debug, Clone)]
struct Member {
    ty: Type,
    has_default: bool,
}

/// The input objects and enums of a schema. Scalars of its own check themselves.
#[derive(Debug, Clone, Default)]
pub struct InputTypes {
    objects: HashMap<Name, IndexMap<Name, Member>>,
    enums: HashMap<Name, HashSet<Name>>,
}

impl InputTypes {
    /// Reads the input types of `sdl`.
    #[must_use]
    pub fn from_sdl(sdl: &str) -> Self {
        let mut types = Self::default();
        let definitions = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node;
            match definition.node.kind {
                TypeKind::InputObject(object) => {
                    let members = object.fields.into_iter().map(|field| {
                        let has_default = field.node.default_value.is_some();
                        (field.node.name.node, Member { ty: field.node.ty.node, has_default })
                    });
                    types.objects.insert(name, members.collect());
                }
                TypeKind::Enum(of) => {
                    let values = of.values.into_iter().map(|value| value.node.value.node);
                    types.enums.insert(name, values.collect());
                }
                _ => {}
            }
        }
        types
    }

    /// Checks the `variables` that `operation` declares.
    ///
    /// # Errors
    /// What is wrong with the first that does not fit.
    pub fn check(&self, operation: &OperationDefinition, variables: &Variables) -> Result<(), String> {
        for definition in &operation.variable_definitions {
            let definition = &definition.node;
            let (name, ty) = (&definition.name.node, &definition.var_type.node);
            let place = format!("${name}");
            match variables.get(name) {
                Some(value) => self.fits(&place, ty, value)?,
                None if ty.nullable || definition.default_value.is_some() => {}
                None => return Err(format!("variable `{place}` of type `{ty}` is required")),
            }
        }
        Ok(())
    }

    fn fits(&self, place: &str, ty: &Type, value: &ConstValue) -> Result<(), String> {
        let wrong = || Err(format!("variable `{place}` is not a `{ty}`"));
        if *value == ConstValue::Null {
            return if ty.nullable { Ok(()) } else { wrong() };
        }
        let name = match &ty.base {
            BaseType::List(item) => {
                return match value {
                    ConstValue::List(items) => items
                        .iter()
                        .enumerate()
                        .try_for_each(|(n, value)| self.fits(&format!("{place}[{n}]"), item, value)),
                    // One item stands for a list of one.
                    one => self.fits(place, item, one),
                };
            }
            BaseType::Named(name) => name,
        };
        if let Some(members) = self.objects.get(name) {
            let ConstValue::Object(given) = value else { return wrong() };
            if given.keys().any(|key| !members.contains_key(key)) {
                return Err(format!("variable `{place}` has a member that `{name}` does not have"));
            }
            return members.iter().try_for_each(|(key, member)| match given.get(key) {
                Some(value) => self.fits(&format!("{place}.{key}"), &member.ty, value),
                None if member.ty.nullable || member.has_default => Ok(()),
                None => Err(format!("variable `{place}.{key}` of type `{}` is required", member.ty)),
            });
        }
        let fits = match (name.as_str(), value) {
            ("Int", ConstValue::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            ("Float", ConstValue::Number(_))
            | ("String" | "ID", ConstValue::String(_))
            | ("Boolean", ConstValue::Boolean(_)) => true,
            ("ID", ConstValue::Number(number)) => number.is_i64() || number.is_u64(),
            ("Int" | "Float" | "String" | "ID" | "Boolean", _) => false,
            (_, ConstValue::String(text)) => {
                self.enums.get(name).is_none_or(|values| values.contains(text.as_str()))
            }
            _ => !self.enums.contains_key(name),
        };
        if fits { Ok(()) } else { wrong() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use async_graphql_parser::parse_query;
    use serde_json::json;

    const SDL: &str = "enum E { A B } scalar Any
        input I { n: Int!, e: E, more: [I!], d: String! = \"x\" } type Query { a: Int }";

    fn check(declared: &str, variables: serde_json::Value) -> Result<(), String> {
        let document = parse_query(format!("query({declared}) {{ a }}")).unwrap();
        let operation = document.operations.iter().next().unwrap().1;
        InputTypes::from_sdl(SDL).check(&operation.node, &Variables::from_json(variables))
    }

    /// ASVS: 2.2.1
    #[test]
    fn what_fits_is_taken() {
        for (declared, value) in [
            ("$v: Int", json!(null)),
            ("$v: Int!", json!(2_147_483_647)),
            ("$v: Float!", json!(1)),
            ("$v: ID!", json!(1)),
            ("$v: ID!", json!("x")),
            ("$v: E!", json!("A")),
            ("$v: Any!", json!({ "a": [1] })),
            ("$v: [Int!]!", json!([1, 2])),
            ("$v: [Int!]!", json!(1)),
            ("$v: I!", json!({ "n": 1 })),
            ("$v: I!", json!({ "n": 1, "e": null, "more": [{ "n": 2, "e": "B", "d": "" }] })),
        ] {
            assert_eq!(check(declared, json!({ "v": value })), Ok(()), "{declared} {value}");
        }
        assert_eq!(check("$v: Int", json!({})), Ok(()));
        assert_eq!(check("$v: Int! = 1", json!({ "unused": [] })), Ok(()));
    }

    /// ASVS: 2.2.1, 15.3.3
    #[test]
    fn what_does_not_fit_is_refused_without_being_repeated() {
        for (declared, value) in [
            ("$v: Int!", json!(null)),
            ("$v: Int!", json!(2_147_483_648_u64)),
            ("$v: Int!", json!(-2_147_483_649_i64)),
            ("$v: Int!", json!(1.5)),
            ("$v: Int!", json!("canary")),
            ("$v: Int!", json!([1, 2])),
            ("$v: String!", json!(1)),
            ("$v: ID!", json!(1.5)),
            ("$v: ID!", json!({ "canary": 1 })),
            ("$v: Boolean!", json!("true")),
            ("$v: E!", json!("canary")),
            ("$v: E!", json!(1)),
            ("$v: [Int!]!", json!([1, null])),
            ("$v: [Int!]!", json!([[1]])),
            ("$v: I!", json!([])),
            ("$v: I!", json!("canary")),
            ("$v: I!", json!({})),
            ("$v: I!", json!({ "n": null })),
            ("$v: I!", json!({ "n": 1, "canary": 1 })),
            ("$v: I!", json!({ "n": 1, "d": null })),
            ("$v: I!", json!({ "n": 1, "more": [{ "n": "canary" }] })),
        ] {
            let error = check(declared, json!({ "v": value })).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        assert_eq!(check("$v: Int!", json!({})).unwrap_err(), "variable `$v` of type `Int!` is required");
        let nested = json!({ "v": { "n": 1, "more": [{ "n": 1 }, { "n": 1, "e": 3 }] } });
        assert_eq!(check("$v: I!", nested).unwrap_err(), "variable `$v.more[1].e` is not a `E`");
    }
}
