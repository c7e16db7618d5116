//! The shape of an answer, by the specification (GraphQL, section 6.4).
//!
//! async-graphql leaves out the key of a field that failed and orders keys by completion. This puts
//! them in the order of the query, gives a failed field its null, and passes the null of a non-null
//! field up to the nearest place that may hold it.

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

    /// Puts `data`, the outcome of `operation`, in shape.
    #[must_use]
    pub fn shape(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
        data: ConstValue,
    ) -> ConstValue {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let pass = Pass { types: self, fragments: &document.fragments, operation, variables };
        pass.object(root, &[&operation.selection_set.node], data).unwrap_or(ConstValue::Null)
    }
}

struct Pass<'a> {
    types: &'a Types,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
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

    fn object(
        &self,
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
            let value = match types.get(name) {
                Some(ty) => self.value(ty, &same, value)?,
                None => value,
            };
            shaped.insert(Name::new(key), value);
        }
        Ok(ConstValue::Object(shaped))
    }

    fn value(&self, ty: &Type, fields: &[&'a Field], value: ConstValue) -> Result<ConstValue, NonNull> {
        let shaped = match (&ty.base, value) {
            (_, ConstValue::Null) => Err(NonNull),
            (BaseType::List(item), ConstValue::List(items)) => items
                .into_iter()
                .map(|value| self.value(item, fields, value))
                .collect::<Result<_, _>>()
                .map(ConstValue::List),
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
}
