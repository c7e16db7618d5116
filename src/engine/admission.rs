//! Admission: one round trip charges every tier of a request at once, or none, and returns the epoch
//! that keeps cached identities true.

use super::answer::Answer;
use crate::access::Identity;
use crate::accounts::device::Device;
use crate::app::App;
use crate::audit::Origin;
use crate::crypto::Purpose;
use crate::limits::Mode;
use crate::limits::charge::{Admission, Charge, Decision, EpochKey, Tier};
use crate::limits::cost::Estimate;
use crate::limits::headers::headers;
use crate::limits::policy::ClientKeys;
use std::net::{IpAddr, Ipv4Addr};

/// What was admitted, for the answer and for the refund.
#[derive(Debug, Clone, Default)]
pub struct Admitted {
    /// `RateLimit` and its kin.
    pub headers: Vec<(&'static str, String)>,
    /// The user's epoch at admission, if a user was named and the store answered for all replicas.
    pub epoch: Option<u64>,
    /// What is left of the cost budget, and in how many milliseconds it is whole again.
    pub budget: Option<Budget>,
    cost: Option<(Charge, Admission)>,
}

/// The cost budget after this operation.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Points in a window.
    pub limit: u32,
    /// Points left.
    pub remaining: u32,
    /// Milliseconds until the budget is whole again if nothing more is taken.
    pub reset_ms: u64,
}

/// Which part of the charges to take now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them: the user is known, or there is none.
    Whole,
    /// The address's share, before a token is looked up in the database.
    Address,
    /// The rest, once it was.
    Rest,
}

/// Charges `estimate` to who asks.
///
/// # Errors
/// The answer that refuses, with the time to wait; nothing was charged.
pub async fn admit(
    app: &App,
    origin: &Origin,
    identity: Option<&Identity>,
    estimate: &Estimate,
    part: Part,
) -> Result<Admitted, Answer> {
    let address = origin.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let user = identity.map(|identity| identity.user_id().uuid());
    let hash = |identifier: &[u8]| app.keyring.mac(Purpose::LimitKey, &[identifier]);
    let mark = origin.device.as_deref().filter(|_| !estimate.targets.is_empty());
    let device_of = mark.and_then(|mark| Device::parse(app, mark)).map(|device| device.user.uuid());
    let mut charges = app.policy.charges(&ClientKeys { address, user, device_of }, estimate, hash);
    match part {
        Part::Whole => {}
        Part::Address => charges.retain(|charge| charge.tier == Tier::Address),
        Part::Rest => charges.retain(|charge| charge.tier != Tier::Address),
    }
    let epochs: Vec<EpochKey> = user.map(EpochKey::user).into_iter().collect();
    let admission = app.limits.admit(&charges, &epochs).await;
    if let Decision::Refused { index, retry_after_ms } = admission.decision {
        let tier = charges.get(index).map_or(Tier::Address, |charge| charge.tier);
        metrics::counter!("portcullis_limit_refusals_total", "tier" => tier.as_str()).increment(1);
        if app.policy.mode == Mode::Enforce {
            return Err(refusal(tier, retry_after_ms, &charges, &admission));
        }
        tracing::warn!(tier = tier.as_str(), "past a limit in report mode");
    }
    Ok(admitted(&charges, admission))
}

fn admitted(charges: &[Charge], admission: Admission) -> Admitted {
    let cost = charges.iter().position(|charge| charge.tier == Tier::Cost);
    let budget = cost.and_then(|index| {
        let (charge, standing) = (charges.get(index)?, admission.standings.get(index)?);
        Some(Budget { limit: charge.quota.limit, remaining: standing.remaining, reset_ms: standing.reset_ms })
    });
    Admitted {
        headers: headers(charges, &admission),
        epoch: admission.epochs.first().copied(),
        budget,
        cost: cost.and_then(|index| charges.get(index).map(|charge| (*charge, admission))),
    }
}

fn refusal(tier: Tier, retry_after_ms: u64, charges: &[Charge], admission: &Admission) -> Answer {
    let seconds = retry_after_ms.div_ceil(1000).max(1);
    let (code, what) = match tier {
        Tier::Cost => ("COST_BUDGET_EXCEEDED", "the cost budget is used up"),
        _ => ("RATE_LIMITED", "too many requests"),
    };
    let mut answer = Answer::refused(code, format!("{what}; try again in {seconds} s"));
    for error in &mut answer.errors {
        error.extensions.get_or_insert_with(Default::default).set("retryAfter", seconds);
    }
    answer.retry_after = Some(seconds);
    answer.headers = headers(charges, admission);
    answer
}

/// Gives back what was reserved and not used.
pub fn refund(app: &App, admitted: &Admitted, unused: u64) {
    if let (Some((charge, admission)), Ok(unused @ 1..)) = (&admitted.cost, u32::try_from(unused)) {
        app.limits.refund(charge, unused, admission);
    }
}
