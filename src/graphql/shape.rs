//! The shape of an answer, by the specification (GraphQL, section 6.4).
//!
//! async-graphql leaves out the key of a field that failed and orders keys by completion. This puts
//! them in the order of the query, gives a failed field its null, and passes the null of a non-null
//! field up to the nearest place that may hold it.

use async_graphql::{PathSegment, ServerError};
use async_graphql_parser::Positioned;
use async_graphql_parser::parse_schema;
use async_graphql_parser::types::{
    BaseType, ExecutableDocument, Field, FragmentDefinition, OperationDefinition, OperationType, Selection,
    SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql_value::{ConstValue, Name, Variables};
use indexmap::IndexMap;
use std::collections::HashMap;

/// Type → field → type of its value, for object types.
#[derive(Debug, Clone, Default)]
pub struct Types(HashMap<Name, HashMap<Name, Type>>);

/// A null has to go further up.
#[derive(Debug)]
struct NonNull;

type Fields<'a> = IndexMap<&'a str, Vec<&'a Field>>;

impl Types {
    /// Reads the object types of `sdl`.
    #[must_use]
    pub fn from_sdl(sdl: &str) -> Self {
        let mut types = Self::default();
        let definitions = parse_schema(sdl).map(|document| document.definitions).unwrap_or_default();
        for definition in definitions {
            let TypeSystemDefinition::Type(Positioned { node, .. }) = definition else { continue };
            if let TypeKind::Object(object) = node.kind {
                let fields =
                    object.fields.into_iter().map(|field| (field.node.name.node, field.node.ty.node));
                types.0.insert(node.name.node, fields.collect());
            }
        }
        types
    }

    /// Puts `data`, the outcome of `operation` with these `errors`, in shape.
    #[must_use]
    pub fn shape(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
        data: ConstValue,
        errors: &[ServerError],
    ) -> ConstValue {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let path = Vec::new();
        let mut pass =
            Pass { types: self, fragments: &document.fragments, operation, variables, errors, path };
        pass.object(root, &[&operation.selection_set.node], data).unwrap_or(ConstValue::Null)
    }
}

struct Pass<'a> {
    types: &'a Types,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    errors: &'a [ServerError],
    /// Where the walk is, as errors name places.
    path: Vec<PathSegment>,
}

impl<'a> Pass<'a> {
    /// The value of a boolean argument of `@skip` or `@include`.
    fn condition(
        &self,
        field: &'a [Positioned<async_graphql_parser::types::Directive>],
        name: &str,
    ) -> Option<bool> {
        let directive = field.iter().find(|directive| directive.node.name.node == name)?;
        let value = directive.node.get_argument("if")?.node.clone();
        let known = |name: Name| -> Result<ConstValue, ()> {
            if let Some(value) = self.variables.get(&name) {
                return Ok(value.clone());
            }
            let definition = self.operation.variable_definitions.iter().find(|d| d.node.name.node == name);
            definition.and_then(|d| d.node.default_value.as_ref()).map(|value| value.node.clone()).ok_or(())
        };
        match value.into_const_with(known) {
            Ok(ConstValue::Boolean(value)) => Some(value),
            _ => None,
        }
    }

    fn included(&self, directives: &'a [Positioned<async_graphql_parser::types::Directive>]) -> bool {
        directives.is_empty()
            || (self.condition(directives, "skip") != Some(true)
                && self.condition(directives, "include") != Some(false))
    }

    /// The fields of `set` by response key, in order, fragments opened. Cycles were refused before.
    fn collect(&self, set: &'a SelectionSet, fields: &mut Fields<'a>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) if self.included(&field.node.directives) => {
                    let key = field.node.response_key().node.as_str();
                    fields.entry(key).or_default().push(&field.node);
                }
                Selection::InlineFragment(fragment) if self.included(&fragment.node.directives) => {
                    self.collect(&fragment.node.selection_set.node, fields);
                }
                Selection::FragmentSpread(spread) if self.included(&spread.node.directives) => {
                    if let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, fields);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a field beneath this place failed: then the null here stands for an object of which
    /// nothing is left, not for one that does not exist.
    fn has_failed_within(&self) -> bool {
        self.errors
            .iter()
            .any(|error| error.path.len() > self.path.len() && error.path.starts_with(&self.path))
    }

    fn object(
        &mut self,
        type_name: &str,
        sets: &[&'a SelectionSet],
        data: ConstValue,
    ) -> Result<ConstValue, NonNull> {
        let mut given = match data {
            ConstValue::Object(given) => given,
            // Nothing succeeded: async-graphql says null where the specification wants each key's null.
            ConstValue::Null => IndexMap::new(),
            other => return Ok(other),
        };
        let Some(types) = self.types.0.get(type_name) else {
            // Introspection: its types are not in the SDL, and nothing in it fails.
            return Ok(ConstValue::Object(given));
        };
        let mut fields = Fields::new();
        for set in sets {
            self.collect(set, &mut fields);
        }
        let mut shaped = IndexMap::with_capacity(fields.len());
        for (key, same) in fields {
            let value = given.swap_remove(key).unwrap_or(ConstValue::Null);
            let name = &same[0].name.node;
            self.path.push(PathSegment::Field(key.to_owned()));
            let value = match types.get(name) {
                Some(ty) => self.value(ty, &same, value),
                None => Ok(value),
            };
            self.path.pop();
            let value = value?;
            shaped.insert(Name::new(key), value);
        }
        Ok(ConstValue::Object(shaped))
    }

    fn value(&mut self, ty: &Type, fields: &[&'a Field], value: ConstValue) -> Result<ConstValue, NonNull> {
        let shaped = match (&ty.base, value) {
            (BaseType::Named(name), ConstValue::Null)
                if self.types.0.contains_key(name) && self.has_failed_within() =>
            {
                let sets: Vec<_> = fields.iter().map(|field| &field.selection_set.node).collect();
                self.object(name, &sets, ConstValue::Null)
            }
            (_, ConstValue::Null) => Err(NonNull),
            (BaseType::List(item), ConstValue::List(items)) => self.list(item, fields, items),
            (BaseType::Named(name), value @ ConstValue::Object(_)) if self.types.0.contains_key(name) => {
                let sets: Vec<_> = fields.iter().map(|field| &field.selection_set.node).collect();
                self.object(name, &sets, value)
            }
            (_, value) => Ok(value),
        };
        match shaped {
            Err(NonNull) if ty.nullable => Ok(ConstValue::Null),
            other => other,
        }
    }

    fn list(
        &mut self,
        item: &Type,
        fields: &[&'a Field],
        values: Vec<ConstValue>,
    ) -> Result<ConstValue, NonNull> {
        let mut shaped = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            self.path.push(PathSegment::Index(index));
            let value = self.value(item, fields, value);
            self.path.pop();
            shaped.push(value?);
        }
        Ok(ConstValue::List(shaped))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use async_graphql_parser::parse_query;
    use serde_json::{Value, json};

    const SDL: &str = "type Query { me: User  user: User!  users: [User!]  maybe: [User] } \
                       type User { name: String!  email: String  friend: User }";

    fn shaped(query: &str, data: Value, failed: &[&[&str]]) -> Value {
        let document = parse_query(query).unwrap();
        let operation = document.operations.iter().next().unwrap().1;
        let errors: Vec<ServerError> = failed
            .iter()
            .map(|path| {
                let mut error = ServerError::new("refused", None);
                let segment = |part: &&str| {
                    part.parse().map_or_else(|_| PathSegment::Field((*part).to_owned()), PathSegment::Index)
                };
                error.path = path.iter().map(segment).collect();
                error
            })
            .collect();
        let data = ConstValue::from_json(data).unwrap();
        let variables = Variables::default();
        Types::from_sdl(SDL).shape(&document, &operation.node, &variables, data, &errors).into_json().unwrap()
    }

    #[test]
    fn keys_come_in_the_order_of_the_query() {
        let document = parse_query("{ z: me { name } a: me { name email } }").unwrap();
        let operation = document.operations.iter().next().unwrap().1;
        let data = ConstValue::from_json(json!({ "a": { "email": null, "name": "x" }, "z": null })).unwrap();
        let shaped = Types::from_sdl(SDL).shape(&document, &operation.node, &Variables::default(), data, &[]);
        assert_eq!(shaped.to_string(), r#"{z: null, a: {name: "x", email: null}}"#);
    }

    #[test]
    fn a_refused_nullable_field_is_null_and_its_siblings_are_served() {
        let data = json!({ "me": { "name": "x" } });
        let found = shaped("{ me { name email } }", data, &[&["me", "email"]]);
        assert_eq!(found, json!({ "me": { "name": "x", "email": null } }));
    }

    #[test]
    fn an_object_of_which_every_field_was_refused_is_still_an_object() {
        let found = shaped("{ me { email } }", json!({ "me": null }), &[&["me", "email"]]);
        assert_eq!(found, json!({ "me": { "email": null } }));
        let found = shaped("{ me { email } }", json!({ "me": null }), &[]);
        assert_eq!(found, json!({ "me": null }));
        let found = shaped("{ me { email } }", Value::Null, &[&["me", "email"]]);
        assert_eq!(found, json!({ "me": { "email": null } }));
    }

    #[test]
    fn the_null_of_a_non_null_field_goes_up_to_where_null_may_stand() {
        let failed: &[&[&str]] = &[&["me", "name"]];
        assert_eq!(shaped("{ me { name } }", json!({ "me": null }), failed), json!({ "me": null }));
        assert_eq!(shaped("{ user { name } }", Value::Null, &[&["user", "name"]]), Value::Null);
        let data = json!({ "users": [{ "name": "x" }, null], "maybe": [{ "name": "x" }, null] });
        let failed: &[&[&str]] = &[&["users", "1", "name"], &["maybe", "1", "name"]];
        let found = shaped("{ users { name } maybe { name } }", data, failed);
        assert_eq!(found, json!({ "users": null, "maybe": [{ "name": "x" }, null] }));
    }
}
