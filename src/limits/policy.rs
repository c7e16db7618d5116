//! How much each client gets over time: one table, and the charges it makes of a request.
//!
//! | what | default | counted against |
//! |---|---|---|
//! | operations of an address | 600 / 60 s | the address, whoever is signed in: an office behind one |
//! | operations of a user | 300 / 60 s | the user |
//! | LOGIN | 5 / 300 s | the address, the user if signed in, and each account named |
//! | REGISTER | 3 / 3600 s | the address, and each e-mail address named |
//! | API: every operation | 100 / 60 s | the user, or the address when signed out |
//! | ADMIN | 50 / 60 s | the address, the user, and each account named |
//! | cost points | 10,000 / 60 s | the user |
//! | cost points, signed out | 5,000 / 60 s | the address |
//!
//! Classes are counted for each execution of a field (aliases, fragments, repetitions, batches),
//! not for each request. IPv6 addresses count by /64. Identifiers are hashed by a function that is
//! passed in, so that none is in a key.

use super::charge::{Charge, Key, Quota, Subject, Tier};
use super::cost::{Estimate, RateClass};
use super::violation::Mode;
use ipnet::IpNet;
use std::net::IpAddr;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Operations of an address.
    pub address: Quota,
    /// Operations of a user.
    pub user: Quota,
    /// Executions of LOGIN fields.
    pub login: Quota,
    /// Executions of REGISTER fields.
    pub register: Quota,
    /// Operations, and executions of API fields.
    pub api: Quota,
    /// Executions of ADMIN fields.
    pub admin: Quota,
    /// Cost points of a user.
    pub cost: Quota,
    /// Cost points of an address, signed out.
    pub cost_anonymous: Quota,
    /// Networks that no limit meets: monitors.
    pub allow: Vec<IpNet>,
    /// Whether a refusal refuses, or is only logged and counted. The caller's to honour.
    pub mode: Mode,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            address: Quota::per_seconds(600, 60),
            user: Quota::per_seconds(300, 60),
            login: Quota::per_seconds(5, 300),
            register: Quota::per_seconds(3, 3_600),
            api: Quota::per_seconds(100, 60),
            admin: Quota::per_seconds(50, 60),
            cost: Quota::per_seconds(10_000, 60),
            cost_anonymous: Quota::per_seconds(5_000, 60),
            allow: Vec::new(),
            mode: Mode::Enforce,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct ClientKeys {
    /// The client's address, proxies seen through.
    pub address: IpAddr,
    /// The signed-in user, or what stands for one (the id of an API key).
    pub user: Option<Uuid>,
    /// The user to whose account the client's device signed in before, if it did.
    pub device_of: Option<Uuid>,
}

impl Policy {
    /// The quota of a class.
    #[must_use]
    pub const fn class(&self, class: RateClass) -> Quota {
        match class {
            RateClass::Login => self.login,
            RateClass::Register => self.register,
            RateClass::Api => self.api,
            RateClass::Admin => self.admin,
        }
    }

    /// Whether no limit meets `address`.
    #[must_use]
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allow.iter().any(|net| net.contains(&address))
    }

    /// What a request takes, one charge a counter; nothing when the address is exempt. `hash` is a
    /// one-way function, keyed if possible: it turns identifiers into parts of keys.
    #[must_use]
    pub fn charges(
        &self,
        client: &ClientKeys,
        estimate: &Estimate,
        hash: impl Fn(&[u8]) -> [u8; 32],
    ) -> Vec<Charge> {
        if self.is_exempt(client.address) {
            return Vec::new();
        }
        let mut list = List(Vec::with_capacity(8));
        let operations = estimate.operations.max(1);
        list.address(client, Tier::Address, self.address, operations);
        list.user(client, Tier::User, self.user, operations);
        let api = operations.max(estimate.classes.get(RateClass::Api));
        list.user_or_address(client, Tier::Class(RateClass::Api), (self.api, self.api), api);
        list.user_or_address(client, Tier::Cost, (self.cost, self.cost_anonymous), estimate.cost.max(1));
        for class in [RateClass::Login, RateClass::Register, RateClass::Admin] {
            let times = estimate.classes.get(class);
            if times > 0 {
                list.address(client, Tier::Class(class), self.class(class), times);
                list.user(client, Tier::Class(class), self.class(class), times);
            }
        }
        for target in &estimate.targets {
            let tier = Tier::Class(target.class);
            let mut name = normalised(&target.value).into_bytes();
            if let Some(owner) = client.device_of.filter(|_| target.class == RateClass::Login) {
                // A share of its own for known devices: others cannot use up the owner's sign-ins.
                name.push(0);
                name.extend(owner.into_bytes());
            }
            let key = Key::target(tier, &hash(&name));
            list.add(key, target.times, self.class(target.class), tier, Subject::Target);
        }
        list.0
    }
}

/// One spelling for all that may name one account: what accounts are looked up by folds no more.
fn normalised(identifier: &str) -> String {
    identifier.trim().nfkc().collect::<String>().to_lowercase()
}

struct List(Vec<Charge>);

impl List {
    fn add(&mut self, key: Key, amount: u64, quota: Quota, tier: Tier, subject: Subject) {
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        match self.0.iter_mut().find(|charge| charge.key == key) {
            Some(charge) => charge.amount = charge.amount.saturating_add(amount),
            None => self.0.push(Charge { key, amount, quota, tier, subject }),
        }
    }

    fn address(&mut self, client: &ClientKeys, tier: Tier, quota: Quota, amount: u64) {
        self.add(Key::address(tier, client.address), amount, quota, tier, Subject::Address);
    }

    fn user(&mut self, client: &ClientKeys, tier: Tier, quota: Quota, amount: u64) {
        if let Some(user) = client.user {
            self.add(Key::user(tier, user), amount, quota, tier, Subject::User);
        }
    }

    fn user_or_address(&mut self, client: &ClientKeys, tier: Tier, quotas: (Quota, Quota), amount: u64) {
        if client.user.is_some() {
            self.user(client, tier, quotas.0, amount);
        } else {
            self.address(client, tier, quotas.1, amount);
        }
    }
}
