//! `audit_rollups`, `audit_rollup_addresses`, `audit_rollup_positions`: events counted by the hour.

/// `audit_rollups`: events of one kind and outcome in one hour.
pub mod events {
    use crate::audit_event::Status;
    use crate::time::Timestamp;
    use sea_orm::entity::prelude::*;

    /// A row of `audit_rollups`.
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_rollups")]
    pub struct Model {
        /// The hour's beginning.
        #[sea_orm(primary_key, auto_increment = false)]
        pub hour: Timestamp,
        /// The kind of event.
        #[sea_orm(primary_key, auto_increment = false)]
        pub event_type: String,
        /// The outcome.
        #[sea_orm(primary_key, auto_increment = false)]
        pub status: Status,
        /// How many.
        pub count: i64,
    }

    /// None.
    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// `audit_rollup_addresses`: failures, refusals and alerts from one address in one hour.
pub mod addresses {
    use crate::id::EventId;
    use crate::time::Timestamp;
    use sea_orm::entity::prelude::*;

    /// A row of `audit_rollup_addresses`.
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_rollup_addresses")]
    pub struct Model {
        /// The hour's beginning.
        #[sea_orm(primary_key, auto_increment = false)]
        pub hour: Timestamp,
        /// Blind index of the address, as in the trail.
        #[sea_orm(primary_key, auto_increment = false)]
        pub address_index: Vec<u8>,
        /// How many.
        pub count: i64,
        /// One of the events: it has the address, sealed.
        pub event_id: EventId,
    }

    /// None.
    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// `audit_rollup_positions`: how far a chain has been counted.
pub mod positions {
    use sea_orm::entity::prelude::*;

    /// A row of `audit_rollup_positions`.
    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_rollup_positions")]
    pub struct Model {
        /// The chain.
        #[sea_orm(primary_key, auto_increment = false)]
        pub chain: Uuid,
        /// The last row that was counted.
        pub seq: i64,
    }

    /// None.
    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
