//! What sealing costs: one value sealed, opened, indexed. Run with `cargo bench --bench crypto`.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, criterion_group, criterion_main};
use entity::sealed::Sealed;
use entity::user::UserEmail;
use portcullis::crypto::{Keyring, random};
use std::hint::black_box;

const ADDRESS: &str = "ada.lovelace@example.org";

fn bench(c: &mut Criterion) {
    let ring = Keyring::parse(&Keyring::generate()).unwrap();
    let row = random::uuid_v7(entity::time::Timestamp(1_767_225_600_000));
    let sealed: Sealed<UserEmail> = ring.seal(row, ADDRESS);
    c.bench_function("seal/email", |b| b.iter(|| ring.seal::<UserEmail>(black_box(row), black_box(ADDRESS))));
    c.bench_function("open/email", |b| b.iter(|| ring.open(black_box(row), black_box(&sealed)).unwrap()));
    c.bench_function("blind_index/email", |b| b.iter(|| ring.blind_index::<UserEmail>(black_box(ADDRESS))));
    let three = (0..2).fold(ring.clone(), |ring, _| Keyring::parse(&ring.with_new_key()).unwrap());
    c.bench_function("blind_indexes/three keys", |b| {
        b.iter(|| three.blind_indexes::<UserEmail>(black_box(ADDRESS)));
    });
    let kilobyte = "x".repeat(1024);
    let long: Sealed<UserEmail> = ring.seal(row, &kilobyte);
    c.bench_function("open/1 KiB", |b| b.iter(|| ring.open(black_box(row), black_box(&long)).unwrap()));
}

criterion_group!(benches, bench);
criterion_main!(benches);
