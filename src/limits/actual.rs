//! What an operation did cost: the same weights as the estimate, over the lists as long as they came.
//!
//! The difference to what was reserved is given back to the client's budget.

use super::cost::CostTable;
use async_graphql::parser::types::{
    ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql_value::ConstValue;

impl CostTable {
    /// The points of `data`, the outcome of `operation`. Call it for documents within their limits only.
    #[must_use]
    pub fn actual(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        data: &ConstValue,
    ) -> u64 {
        let root = match operation.ty {
            OperationType::Query => self.query,
            OperationType::Mutation => self.mutation,
            OperationType::Subscription => self.subscription,
        };
        let mut walk = Walk { table: self, document, points: 0 };
        walk.set(root, &operation.selection_set.node, data);
        walk.points
    }
}

struct Walk<'a> {
    table: &'a CostTable,
    document: &'a ExecutableDocument,
    points: u64,
}

impl Walk<'_> {
    fn set(&mut self, ty: Option<usize>, set: &SelectionSet, data: &ConstValue) {
        let object = match data {
            ConstValue::List(items) => return items.iter().for_each(|item| self.set(ty, set, item)),
            ConstValue::Object(object) => object,
            _ => return,
        };
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => {
                    // What was left out has no key.
                    let Some(value) = object.get(field.node.response_key().node.as_str()) else { continue };
                    let known =
                        ty.and_then(|ty| self.table.types[ty].fields.get(field.node.name.node.as_str()));
                    self.points = self.points.saturating_add(known.map_or(1, |known| known.weight));
                    self.set(known.and_then(|known| known.ty), &field.node.selection_set.node, value);
                }
                Selection::InlineFragment(inline) => self.set(ty, &inline.node.selection_set.node, data),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.set(ty, &fragment.node.selection_set.node, data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use async_graphql::Variables;
    use async_graphql::parser::parse_query;

    #[test]
    fn a_short_list_costs_what_it_holds_and_never_more_than_was_reserved() {
        let sdl = "type Query { posts(first: Int): PostConnection! } \
                   type PostConnection { edges: [PostEdge!]! } type PostEdge { node: Post! } \
                   type Post { title: String author: User! } type User { name: String }";
        let table = CostTable::from_sdl(sdl).unwrap();
        let document =
            parse_query("{ posts(first: 50) { edges { node { title author { name } } } } }").unwrap();
        let operation = document.operations.iter().next().unwrap().1;
        let data = |count: usize| {
            let edge = serde_json::json!({ "node": { "title": "a", "author": { "name": "b" } } });
            ConstValue::from_json(serde_json::json!({ "posts": { "edges": vec![edge; count] } })).unwrap()
        };
        let reserved = table.estimate(&document, &operation.node, &Variables::default()).cost;
        let none = table.actual(&document, &operation.node, &data(0));
        let two = table.actual(&document, &operation.node, &data(2));
        let full = table.actual(&document, &operation.node, &data(50));
        assert!(none < two && two < full);
        assert_eq!(full, reserved);
    }
}
