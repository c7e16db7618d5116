//! What the one operation that will run may cost, from the schema's own weights.
//!
//! [`CostTable::estimate`] walks the operation with its real variables, their defaults, and
//! `@skip`/`@include`. All arithmetic saturates. Call [`super::expand::expand`] first: it bounds the
//! walk, which otherwise stops at the same ceilings with the highest cost there is.
//!
//! The rules, each field counted every time it may execute:
//!
//! - a field that returns an object or a list costs 1, any other 0, unless `@cost(weight:)` says so;
//! - `__typename`, `__schema`, `__type` and every field within those cost 1, unknown fields too;
//! - what is beneath the `edges` or `nodes` of a connection is multiplied by the page size: the
//!   argument `first` or `last` (or those `@cost(multipliers:)` names), else its default in the SDL,
//!   else 20; never more than [`PAGE_CAP`], which is also what anything unreadable counts as;
//! - what is beneath any other list is multiplied by its multipliers, else by
//!   `@cost(assumedSize:)`, else by [`PAGE_CAP`], the most the server ever returns;
//! - `@rateLimit(class:)` counts its class once for each execution. The values at its `targets:`
//!   (argument paths such as `input.identifier`), or else at the usual ones of its class
//!   ([`RateClass::usual_targets`]), are the targets those executions count against as well.

pub use super::cost_table::{CostTable, PAGE_CAP, PAGE_DEFAULT, SdlError};
use super::cost_table::{FieldCost, Spread};
use super::expand::{EXPANSION_CEILING, PATH_CEILING};
use async_graphql::Variables;
use async_graphql::parser::Positioned;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql_value::{ConstValue, Value};

/// The classes of `@rateLimit(class:)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateClass {
    /// Proves an identity: sign-in, second factors, one-time tokens.
    Login,
    /// Makes an account or sends mail.
    Register,
    /// Any operation.
    Api,
    /// Administration.
    Admin,
}

impl RateClass {
    /// All of them, in the order of [`Classes`].
    pub const ALL: [Self; 4] = [Self::Login, Self::Register, Self::Api, Self::Admin];

    /// The class named in the SDL.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The name in the SDL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::Register => "REGISTER",
            Self::Api => "API",
            Self::Admin => "ADMIN",
        }
    }

    /// The argument paths that name whom a field of this class acts on, where the SDL names none.
    #[must_use]
    pub const fn usual_targets(self) -> &'static [&'static str] {
        match self {
            Self::Login => &["input.identifier", "input.email", "input.mfaToken"],
            Self::Register => &["input.email"],
            Self::Admin => &["input.userId", "input.id"],
            Self::Api => &[],
        }
    }
}

/// Executions by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes([u64; 4]);

impl Classes {
    /// Executions of `class`.
    #[must_use]
    pub const fn get(&self, class: RateClass) -> u64 {
        self.0[class as usize]
    }

    /// Adds executions.
    pub fn add(&mut self, class: RateClass, times: u64) {
        let count = &mut self.0[class as usize];
        *count = count.saturating_add(times);
    }
}

/// Whom a field of a rate class acts on. `value` is as the client sent it: never log or store it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The class.
    pub class: RateClass,
    /// The identifier: a name, an e-mail address, an id, a token.
    pub value: String,
    /// Executions against it.
    pub times: u64,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("class", &self.class)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// What one operation, or a batch of them, may cost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Estimate {
    /// Points.
    pub cost: u64,
    /// Operations: 1, or as many as were added up.
    pub operations: u64,
    /// Executions of rate-limited fields.
    pub classes: Classes,
    /// Whom those act on.
    pub targets: Vec<Target>,
    /// The largest page size asked for, before it was capped.
    pub largest_page: u64,
    /// Selections looked at.
    pub steps: u64,
}

impl Estimate {
    /// Adds another operation of the same request.
    pub fn add(&mut self, other: Self) {
        self.cost = self.cost.saturating_add(other.cost);
        self.operations = self.operations.saturating_add(other.operations);
        for class in RateClass::ALL {
            self.classes.add(class, other.classes.get(class));
        }
        for target in other.targets {
            self.target(target.class, target.value, target.times);
        }
        self.largest_page = self.largest_page.max(other.largest_page);
        self.steps = self.steps.saturating_add(other.steps);
    }

    fn target(&mut self, class: RateClass, value: String, times: u64) {
        match self.targets.iter_mut().find(|known| known.class == class && known.value == value) {
            Some(known) => known.times = known.times.saturating_add(times),
            None => self.targets.push(Target { class, value, times }),
        }
    }
}

impl CostTable {
    /// Estimates `operation` of `document` with the request's `variables`. For a subscription this
    /// is the cost of one event.
    #[must_use]
    pub fn estimate(
        &self,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Estimate {
        let root = match operation.ty {
            OperationType::Query => self.query,
            OperationType::Mutation => self.mutation,
            OperationType::Subscription => self.subscription,
        };
        let estimate = Estimate { operations: 1, ..Estimate::default() };
        let mut walk = Walk { table: self, document, operation, variables, estimate };
        walk.set(&operation.selection_set.node, Place { ty: root, times: 1, page: None, depth: 0 });
        walk.estimate
    }
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct Place {
    /// The type selected on, if the table knows it.
    ty: Option<usize>,
    /// How often this set may execute.
    times: u64,
    /// On a connection: the page size that is still to multiply its `edges` or `nodes`.
    page: Option<u64>,
    depth: u64,
}

struct Walk<'a> {
    table: &'a CostTable,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    estimate: Estimate,
}

/// A value after variables: written in the document, or sent with the request.
#[derive(Clone, Copy)]
enum Known<'a> {
    Written(&'a Value),
    Sent(&'a ConstValue),
}

impl<'a> Walk<'a> {
    fn set(&mut self, set: &'a SelectionSet, place: Place) {
        if place.depth > PATH_CEILING {
            self.estimate.cost = u64::MAX;
            return;
        }
        let place = Place { depth: place.depth + 1, ..place };
        for item in &set.items {
            self.estimate.steps += 1;
            if self.estimate.steps > EXPANSION_CEILING {
                self.estimate.cost = u64::MAX;
                return;
            }
            if self.left_out(item.node.directives()) {
                continue;
            }
            match &item.node {
                Selection::Field(field) => self.field(&field.node, place),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    self.fragment(on, &inline.node.selection_set.node, place);
                }
                Selection::FragmentSpread(spread) => {
                    let name = spread.node.fragment_name.node.as_str();
                    if let Some(fragment) = self.document.fragments.get(name) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.fragment(Some(on), &fragment.node.selection_set.node, place);
                    }
                }
            }
        }
    }

    fn fragment(&mut self, on: Option<&str>, set: &'a SelectionSet, place: Place) {
        let ty = on.map_or(place.ty, |name| self.table.names.get(name).copied());
        self.set(set, Place { ty, ..place });
    }

    fn field(&mut self, field: &'a Field, place: Place) {
        let name = field.name.node.as_str();
        let table = self.table;
        let known = place.ty.and_then(|ty| table.types[ty].fields.get(name));
        let below = &field.selection_set.node;
        let Some(known) = known else {
            self.pay(1, place.times);
            return self.set(below, Place { ty: None, page: None, ..place });
        };
        if let Some(class) = known.class {
            self.estimate.classes.add(class, place.times);
            for path in &known.targets {
                if let Some(value) = self.text_at(field, path) {
                    self.estimate.target(class, value, place.times);
                }
            }
        }
        let size = self.size(field, known);
        let mut inner = Place { ty: known.ty, page: None, ..place };
        let mut own = place.times;
        match known.spread {
            Spread::One => {}
            Spread::Own => own = own.saturating_mul(size),
            Spread::Page => inner.page = Some(size),
            Spread::Children => inner.times = inner.times.saturating_mul(place.page.unwrap_or(size)),
            Spread::List => inner.times = inner.times.saturating_mul(size),
        }
        self.pay(known.weight, own);
        self.set(below, inner);
    }

    fn pay(&mut self, weight: u64, times: u64) {
        self.estimate.cost = self.estimate.cost.saturating_add(weight.saturating_mul(times));
    }

    /// How many a field returns at most.
    fn size(&mut self, field: &'a Field, known: &FieldCost) -> u64 {
        let mut asked: Option<u64> = None;
        for argument in &known.multipliers {
            let given = field.get_argument(argument).and_then(|value| self.known(&value.node));
            let Some(given) = given.filter(|given| !given.is_null()) else { continue };
            let number = given.as_u64().unwrap_or(u64::MAX);
            self.estimate.largest_page = self.estimate.largest_page.max(number);
            asked = Some(asked.unwrap_or(0).max(number));
        }
        asked.map_or(known.size, |asked| asked.clamp(1, self.table.page_cap)).saturating_mul(known.within)
    }

    /// Whether `@skip` or `@include` leaves a selection out. What cannot be read does not.
    fn left_out(&self, directives: &'a [Positioned<Directive>]) -> bool {
        directives.iter().any(|directive| {
            let leaves_out = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let condition = directive.node.get_argument("if").and_then(|value| self.known(&value.node));
            condition.and_then(Known::as_bool) == Some(leaves_out)
        })
    }

    /// The text at an argument path such as `input.identifier`.
    fn text_at(&self, field: &'a Field, path: &[String]) -> Option<String> {
        let (argument, members) = path.split_first()?;
        let mut value = self.known(&field.get_argument(argument)?.node)?;
        for member in members {
            value = match value {
                Known::Written(Value::Object(map)) => self.known(map.get(member.as_str())?)?,
                Known::Sent(ConstValue::Object(map)) => Known::Sent(map.get(member.as_str())?),
                _ => return None,
            };
        }
        value.as_text()
    }

    /// `value` with a variable replaced by what was sent, or by its default. `None`: not given.
    fn known(&self, value: &'a Value) -> Option<Known<'a>> {
        let Value::Variable(name) = value else { return Some(Known::Written(value)) };
        if let Some(sent) = self.variables.get(name.as_str()) {
            return Some(Known::Sent(sent));
        }
        let defined = self.operation.variable_definitions.iter().find(|one| one.node.name.node == *name)?;
        defined.node.default_value.as_ref().map(|value| Known::Sent(&value.node))
    }
}

impl Known<'_> {
    fn is_null(self) -> bool {
        matches!(self, Self::Written(Value::Null) | Self::Sent(ConstValue::Null))
    }

    fn as_u64(self) -> Option<u64> {
        match self {
            Self::Written(Value::Number(number)) | Self::Sent(ConstValue::Number(number)) => number.as_u64(),
            _ => None,
        }
    }

    fn as_bool(self) -> Option<bool> {
        match self {
            Self::Written(Value::Boolean(value)) | Self::Sent(ConstValue::Boolean(value)) => Some(*value),
            _ => None,
        }
    }

    fn as_text(self) -> Option<String> {
        match self {
            Self::Written(Value::String(text)) | Self::Sent(ConstValue::String(text)) => Some(text.clone()),
            Self::Written(Value::Number(number)) | Self::Sent(ConstValue::Number(number)) => {
                Some(number.to_string())
            }
            Self::Written(Value::Enum(name)) | Self::Sent(ConstValue::Enum(name)) => Some(name.to_string()),
            _ => None,
        }
    }
}
