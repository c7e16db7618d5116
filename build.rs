//! Compresses the built playground for embedding. Without Node there is none, and the server still
//! builds: `/graphiql` then says how to build it.

use flate2::{Compression, write::GzEncoder};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[allow(clippy::disallowed_methods, reason = "a build script is told where to write by its environment")]
fn main() -> io::Result<()> {
    let dist = Path::new("playground/dist");
    fs::create_dir_all(dist)?;
    println!("cargo::rerun-if-changed=playground/dist");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("playground");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    compress(dist, &out)
}

/// Every file below `from`, compressed, at the same place below `to`, under the same name.
fn compress(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            compress(&entry.path(), &target)?;
        } else {
            let mut encoder = GzEncoder::new(fs::File::create(&target)?, Compression::best());
            io::copy(&mut fs::File::open(entry.path())?, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}
