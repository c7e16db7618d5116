//! `schema.graphql` is what the code says.

#[test]
fn the_committed_schema_is_current() {
    let (_, sdl) = portcullis::schema::build().unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed.trim_end() == sdl.trim_end(), "schema.graphql is stale: run `make schema`");
}
