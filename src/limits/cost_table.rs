//! The weights, page sizes and rate classes that the SDL declares, ready to look up.

use super::cost::RateClass;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ConstDirective, FieldDefinition, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql_value::ConstValue;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The most a list ever returns.
pub const PAGE_CAP: u64 = 100;
/// The page size where neither the client nor the SDL says.
pub const PAGE_DEFAULT: u64 = 20;

/// Why no table could be made of an SDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdlError {
    /// It does not parse.
    Syntax(String),
    /// It has no query root.
    NoQuery,
    /// A directive of a field (`Type.field`) says something unknown or out of range.
    Directive(String),
}

impl fmt::Display for SdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "the SDL does not parse: {message}"),
            Self::NoQuery => f.write_str("the SDL has no query root"),
            Self::Directive(field) => write!(f, "@cost or @rateLimit of {field} is not understood"),
        }
    }
}

impl std::error::Error for SdlError {}

/// Weights, multipliers and classes by type and field.
#[derive(Debug, Clone)]
pub struct CostTable {
    pub(super) types: Vec<TypeCost>,
    pub(super) names: HashMap<String, usize>,
    pub(super) query: Option<usize>,
    pub(super) mutation: Option<usize>,
    pub(super) subscription: Option<usize>,
    pub(super) page_cap: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct TypeCost {
    pub(super) fields: HashMap<String, FieldCost>,
}

#[derive(Debug, Clone)]
pub(super) struct FieldCost {
    pub(super) weight: u64,
    pub(super) class: Option<RateClass>,
    pub(super) targets: Vec<Vec<String>>,
    /// The object type returned, if it is one.
    pub(super) ty: Option<usize>,
    pub(super) spread: Spread,
    /// Arguments that give the size.
    pub(super) multipliers: Vec<String>,
    /// The size when no argument gives it.
    pub(super) size: u64,
    /// What the lists within a list of lists multiply by again.
    pub(super) within: u64,
}

/// What a field's size multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// Nothing: one object, or a value.
    One,
    /// The field's own weight: a value whose work grows with an argument.
    Own,
    /// What is beneath the `edges` or `nodes` of the connection it returns.
    Page,
    /// What is beneath it, by its connection's page size: `edges` and `nodes` themselves.
    Children,
    /// What is beneath it.
    List,
}

impl CostTable {
    /// Reads the directives of an exported SDL.
    ///
    /// # Errors
    /// [`SdlError`] when it does not parse, has no query root, or a directive is not understood.
    pub fn from_sdl(sdl: &str) -> Result<Self, SdlError> {
        Self::with_page_cap(sdl, PAGE_CAP)
    }

    /// As [`CostTable::from_sdl`], for a server whose lists return at most `page_cap`.
    ///
    /// # Errors
    /// As [`CostTable::from_sdl`].
    pub fn with_page_cap(sdl: &str, page_cap: u64) -> Result<Self, SdlError> {
        let document = parse_schema(sdl).map_err(|error| SdlError::Syntax(error.to_string()))?;
        let mut roots = ["Query", "Mutation", "Subscription"].map(str::to_owned);
        let mut names = HashMap::new();
        let mut found: Vec<Vec<&FieldDefinition>> = Vec::new();
        for definition in &document.definitions {
            match definition {
                TypeSystemDefinition::Schema(schema) => {
                    let schema = &schema.node;
                    let said = [&schema.query, &schema.mutation, &schema.subscription];
                    for (root, name) in roots.iter_mut().zip(said) {
                        if let Some(name) = name {
                            *root = name.node.to_string();
                        }
                    }
                }
                TypeSystemDefinition::Type(ty) => {
                    let fields = match &ty.node.kind {
                        TypeKind::Object(object) => object.fields.as_slice(),
                        TypeKind::Interface(interface) => interface.fields.as_slice(),
                        TypeKind::Union(_) => &[],
                        _ => continue,
                    };
                    let at = *names.entry(ty.node.name.node.to_string()).or_insert(found.len());
                    if at == found.len() {
                        found.push(Vec::new());
                    }
                    found[at].extend(fields.iter().map(|field| &field.node));
                }
                TypeSystemDefinition::Directive(_) => {}
            }
        }
        let connections: HashSet<usize> = (0..found.len())
            .filter(|at| {
                found[*at]
                    .iter()
                    .any(|field| is_page_field(&field.name.node) && list_depth(&field.ty.node) > 0)
            })
            .collect();
        let mut table = Self {
            types: Vec::with_capacity(found.len()),
            query: names.get(&roots[0]).copied(),
            mutation: names.get(&roots[1]).copied(),
            subscription: names.get(&roots[2]).copied(),
            names,
            page_cap,
        };
        if table.query.is_none() {
            return Err(SdlError::NoQuery);
        }
        for (at, fields) in found.iter().enumerate() {
            let mut ty = TypeCost::default();
            for field in fields {
                let cost = table.field(field, connections.contains(&at), &connections).ok_or_else(|| {
                    SdlError::Directive(format!("{}.{}", table.name_of(at), field.name.node))
                })?;
                ty.fields.insert(field.name.node.to_string(), cost);
            }
            table.types.push(ty);
        }
        Ok(table)
    }

    fn name_of(&self, at: usize) -> &str {
        self.names.iter().find(|(_, known)| **known == at).map_or("", |(name, _)| name)
    }

    /// The cost of one field; `None` when a directive is not understood.
    fn field(
        &self,
        field: &FieldDefinition,
        on_connection: bool,
        connections: &HashSet<usize>,
    ) -> Option<FieldCost> {
        let directive = |name: &str| {
            field.directives.iter().map(|directive| &directive.node).find(|one| one.name.node == name)
        };
        let cost = directive("cost");
        let rate = directive("rateLimit");
        let ty = self.names.get(named(&field.ty.node)).copied();
        let lists = list_depth(&field.ty.node);
        let weight = match cost.and_then(|cost| argument(cost, "weight")) {
            Some(weight) => number(weight)?,
            None => u64::from(ty.is_some() || lists > 0),
        };
        let declared = match cost.and_then(|cost| argument(cost, "multipliers")) {
            Some(multipliers) => strings(multipliers)?,
            None => Vec::new(),
        };
        let connection = ty.is_some_and(|ty| connections.contains(&ty)) && lists == 0;
        let spread = match () {
            () if on_connection && is_page_field(&field.name.node) && lists > 0 => Spread::Children,
            () if connection => Spread::Page,
            () if lists > 0 && ty.is_some() => Spread::List,
            () if declared.is_empty() => Spread::One,
            () if ty.is_some() => Spread::List,
            () => Spread::Own,
        };
        let has = |name: &str| field.arguments.iter().any(|argument| argument.node.name.node == name);
        let multipliers = if !declared.is_empty() {
            if !declared.iter().all(|name| has(name)) {
                return None;
            }
            declared
        } else if matches!(spread, Spread::Page | Spread::List) {
            ["first", "last"].into_iter().filter(|name| has(name)).map(str::to_owned).collect()
        } else {
            Vec::new()
        };
        let in_sdl = field.arguments.iter().map(|argument| &argument.node).find_map(|argument| {
            let listed = multipliers.iter().any(|name| argument.name.node == *name);
            argument.default_value.as_ref().filter(|_| listed).and_then(|value| number(&value.node))
        });
        let assumed = match cost.and_then(|cost| argument(cost, "assumedSize")) {
            Some(assumed) => Some(number(assumed)?),
            None => None,
        };
        let usual = match spread {
            Spread::List if multipliers.is_empty() => self.page_cap,
            _ => PAGE_DEFAULT,
        };
        // A list of lists multiplies by the cap again for each level within.
        let within = (1..lists).fold(1_u64, |all, _| all.saturating_mul(self.page_cap));
        let size = in_sdl.or(assumed).unwrap_or(usual).clamp(1, self.page_cap);
        let class = match rate {
            Some(rate) => Some(RateClass::from_name(&text(argument(rate, "class")?)?)?),
            None => None,
        };
        let targets = match rate.and_then(|rate| argument(rate, "targets")) {
            Some(paths) => strings(paths)?,
            None => class
                .map_or(&[][..], RateClass::usual_targets)
                .iter()
                .map(|path| (*path).to_owned())
                .collect(),
        };
        let targets = targets.iter().map(|path| path.split('.').map(str::to_owned).collect()).collect();
        Some(FieldCost { weight, class, targets, ty, spread, multipliers, size, within })
    }
}

fn is_page_field(name: &str) -> bool {
    matches!(name, "edges" | "nodes")
}

fn argument<'a>(directive: &'a ConstDirective, name: &str) -> Option<&'a ConstValue> {
    directive.get_argument(name).map(|value| &value.node).filter(|value| **value != ConstValue::Null)
}

fn number(value: &ConstValue) -> Option<u64> {
    match value {
        ConstValue::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn text(value: &ConstValue) -> Option<String> {
    match value {
        ConstValue::String(text) => Some(text.clone()),
        ConstValue::Enum(name) => Some(name.to_string()),
        _ => None,
    }
}

fn strings(value: &ConstValue) -> Option<Vec<String>> {
    match value {
        ConstValue::List(items) => items.iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => named(inner),
    }
}

fn list_depth(ty: &Type) -> u32 {
    match &ty.base {
        BaseType::Named(_) => 0,
        BaseType::List(inner) => 1 + list_depth(inner),
    }
}
