//! Verifying the trail: every row of every chain, in batches by keyset, forwards.
//!
//! Finds a row that was changed, removed, moved or put in. Rows missing from the end of a chain, and a
//! database put back to an older state, are found with a checkpoint ([`super::checkpoint`]), which says
//! where each chain stood when it was signed.

use super::chain::{self, Head};
use super::checkpoint::{Checkpoint, Fold};
use super::{archive, heads};
use crate::app::App;
use crate::error::Result;
use entity::audit_event::{Column, Entity, Model};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::fmt;
use uuid::Uuid;

/// Rows that are read at once.
const BATCH: u64 = 1000;

/// Where the trail does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The chain.
    pub chain: Uuid,
    /// The place in it where the first wrong or missing row is or should be.
    pub seq: i64,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}, seq {}: {}", self.chain.as_simple(), self.seq, self.what)
    }
}

/// A pass over the trail, which can stop and go on between batches.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// The end of the part that was verified.
    at: Option<Head>,
    /// Rows verified so far.
    pub events: u64,
    /// Chains begun so far.
    pub chains: u64,
    /// The first thing that is wrong; the pass ends there.
    pub broken: Option<Broken>,
    /// Whether all rows have been seen.
    pub done: bool,
    /// The checkpoint to hold against, if any, and how much of it has been met.
    expected: Option<Expected>,
}

#[derive(Debug, Clone)]
struct Expected {
    checkpoint: Checkpoint,
    /// The next open chain of the checkpoint that has not been met.
    next: usize,
    fold: Fold,
}

impl Pass {
    /// A pass over the trail as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A pass that also holds the trail against `checkpoint`.
    #[must_use]
    pub fn against(checkpoint: Checkpoint) -> Self {
        let expected = Some(Expected { checkpoint, next: 0, fold: Fold::default() });
        Self { expected, ..Self::default() }
    }

    /// Verifies the next batch; returns whether there is more to do.
    ///
    /// # Errors
    /// When the database cannot; the pass may go on later.
    pub async fn step(&mut self, app: &App) -> Result<bool> {
        if self.done || self.broken.is_some() {
            return Ok(false);
        }
        if let Err(broken) = self.go_on_from_archive(app).await? {
            self.broken = Some(broken);
            return Ok(false);
        }
        let rows = self.rows(app).await?;
        let last = u64::try_from(rows.len()).unwrap_or(0) < BATCH;
        for row in &rows {
            if let Err(broken) = self.row(app, row) {
                self.broken = Some(broken);
                return Ok(false);
            }
        }
        if last && (rows.is_empty() || self.is_last_chain(app).await?) {
            if let Err(broken) = self.end() {
                self.broken = Some(broken);
            }
            self.done = true;
            return Ok(false);
        }
        Ok(true)
    }

    /// Begins where the archive ends; again, when it has overtaken the pass.
    async fn go_on_from_archive(&mut self, app: &App) -> Result<Result<(), Broken>> {
        let archived = archive::state(app.db.reader()).await?;
        let overtaken = self.at.as_ref().is_some_and(|head| head.chain <= archived.through);
        if self.at.is_some() && !overtaken {
            return Ok(Ok(()));
        }
        let checkpoint = self.expected.take().map(|expected| expected.checkpoint);
        *self = Self::default();
        if let Some(checkpoint) = checkpoint {
            if archived.through >= checkpoint.boundary {
                let what = "the checkpoint is older than the archive; take a later one, and verify the archive by itself";
                return Ok(Err(Broken { chain: archived.through, seq: 0, what }));
            }
            self.expected = Some(Expected { checkpoint, next: 0, fold: archived.fold });
        }
        Ok(Ok(()))
    }

    /// The next rows: the rest of the chain at hand, else those of the chains after it.
    async fn rows(&self, app: &App) -> Result<Vec<Model>> {
        #[allow(clippy::disallowed_methods, reason = "verification reads every row and shows none")]
        let query = Entity::find().order_by_asc(Column::Chain).order_by_asc(Column::Seq).limit(BATCH);
        let Some(head) = &self.at else { return Ok(query.all(app.db.reader()).await?) };
        let rest = query.clone().filter(Column::Chain.eq(head.chain)).filter(Column::Seq.gt(head.seq));
        let rows = rest.all(app.db.reader()).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        Ok(query.filter(Column::Chain.gt(head.chain)).all(app.db.reader()).await?)
    }

    /// A short batch may have been the rest of one chain with others after it.
    async fn is_last_chain(&self, app: &App) -> Result<bool> {
        let Some(head) = &self.at else { return Ok(true) };
        #[allow(clippy::disallowed_methods, reason = "whether there is a row")]
        let query = Entity::find().select_only().column(Column::Seq).filter(Column::Chain.gt(head.chain));
        let next: Option<i64> = query.limit(1).into_tuple().one(app.db.reader()).await?;
        Ok(next.is_none())
    }

    fn row(&mut self, app: &App, row: &Model) -> Result<(), Broken> {
        let broken = |seq, what| Broken { chain: row.chain, seq, what };
        let head = match self.at.take() {
            Some(head) if head.chain == row.chain => head,
            ended => {
                if let Some(ended) = ended {
                    self.end_chain(&ended)?;
                }
                self.begin_chain(row.chain)?;
                Head::genesis(row.chain)
            }
        };
        let expected = head.seq + 1;
        if row.seq != expected {
            return Err(broken(expected, "the row is missing"));
        }
        if !chain::verify(&app.keyring, &head.mac, row) {
            return Err(broken(row.seq, "the row was changed, moved or put in"));
        }
        let stood = self.expected.as_ref().and_then(Expected::next_open);
        if stood.is_some_and(|stood| stood.chain == row.chain && stood.seq == row.seq && stood.mac != row.mac)
        {
            return Err(broken(row.seq, "the row is not the one of the checkpoint"));
        }
        self.events += 1;
        self.at = Some(Head { chain: row.chain, seq: row.seq, mac: row.mac.clone() });
        Ok(())
    }

    fn begin_chain(&mut self, chain: Uuid) -> Result<(), Broken> {
        self.chains += 1;
        match &self.expected {
            Some(expected) => expected.nothing_before(chain),
            None => Ok(()),
        }
    }

    fn end_chain(&mut self, head: &Head) -> Result<(), Broken> {
        match &mut self.expected {
            Some(expected) => expected.ended(head),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Broken> {
        if let Some(head) = self.at.clone() {
            self.end_chain(&head)?;
        }
        match &self.expected {
            Some(expected) => expected.nothing_before(Uuid::max()),
            None => Ok(()),
        }
    }
}

impl Expected {
    fn next_open(&self) -> Option<&Head> {
        self.checkpoint.open.get(self.next)
    }

    /// Before a chain `chain` (or the end) there must be nothing left that the checkpoint knows.
    fn nothing_before(&self, chain: Uuid) -> Result<(), Broken> {
        if chain >= self.checkpoint.boundary && self.fold != self.checkpoint.closed {
            let what =
                "the chains closed by then are not those of the checkpoint: some are missing or cut off";
            return Err(Broken { chain: self.checkpoint.boundary, seq: 0, what });
        }
        match self.next_open() {
            Some(missing) if missing.chain < chain => Err(Broken {
                chain: missing.chain,
                seq: 1,
                what: "the chain is missing; the checkpoint knows it",
            }),
            _ => Ok(()),
        }
    }

    /// A chain that ends must have reached where the checkpoint saw it.
    fn ended(&mut self, head: &Head) -> Result<(), Broken> {
        if head.chain < self.checkpoint.boundary {
            self.fold.add(head);
            return Ok(());
        }
        let Some(stood) = self.next_open().filter(|stood| stood.chain == head.chain) else { return Ok(()) };
        if head.seq < stood.seq {
            let what = "the end of the chain is missing; the checkpoint knows more rows";
            return Err(Broken { chain: head.chain, seq: head.seq + 1, what });
        }
        self.next += 1;
        Ok(())
    }
}

/// Rows of each chain that [`tail`] looks at.
const TAIL: u64 = 100;

/// A quick look: the last rows of each chain that is still open, and the ends of all chains that
/// `checkpoint` knows as open.
///
/// # Errors
/// When the database cannot.
pub async fn tail(app: &App, checkpoint: Option<&Checkpoint>) -> Result<Option<Broken>> {
    let boundary = heads::boundary(app.clock.now());
    for head in heads::from(app.db.reader(), boundary, None).await? {
        #[allow(clippy::disallowed_methods, reason = "verification shows no row")]
        let query = Entity::find().filter(Column::Chain.eq(head.chain)).order_by_desc(Column::Seq);
        let mut rows = query.limit(TAIL + 1).all(app.db.reader()).await?;
        rows.reverse();
        let mut rows = rows.iter();
        let first = rows.next().filter(|row| row.seq > 1);
        let mut at = first.map_or_else(
            || Head::genesis(head.chain),
            |row| Head { chain: row.chain, seq: row.seq, mac: row.mac.clone() },
        );
        let rest =
            if at.seq == 0 { query_from_start(app, head.chain).await? } else { rows.cloned().collect() };
        for row in rest {
            if row.seq != at.seq + 1 || !chain::verify(&app.keyring, &at.mac, &row) {
                let what = "the row is missing, changed, moved or put in";
                return Ok(Some(Broken { chain: row.chain, seq: at.seq + 1, what }));
            }
            at = Head { chain: row.chain, seq: row.seq, mac: row.mac };
        }
    }
    let archived = archive::state(app.db.reader()).await?.through;
    let open = checkpoint.map(|checkpoint| &checkpoint.open[..]).unwrap_or_default();
    for stood in open.iter().filter(|stood| stood.chain > archived) {
        let reached = heads::head(app.db.reader(), stood.chain).await?.map_or(0, |head| head.seq);
        if reached < stood.seq {
            let what = "the end of the chain is missing; the checkpoint knows more rows";
            return Ok(Some(Broken { chain: stood.chain, seq: reached + 1, what }));
        }
    }
    Ok(None)
}

/// The first rows of a short chain.
async fn query_from_start(app: &App, chain: Uuid) -> Result<Vec<Model>> {
    #[allow(clippy::disallowed_methods, reason = "verification shows no row")]
    let query = Entity::find().filter(Column::Chain.eq(chain)).order_by_asc(Column::Seq);
    Ok(query.limit(TAIL).all(app.db.reader()).await?)
}
