//! Builds the web page into `OUT_DIR`, so that a plain `cargo build` has it and the repository holds no build output.
//! Where that is impossible, the build goes on with a page that says what is missing, and so does a warning.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the page is made of; anything else in its folder changes nothing.
const SOURCES: &[&str] =
    &["index.html", "package.json", "package-lock.json", "public", "src", "tsconfig.json", "vite.config.ts"];

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("web");
    let out = PathBuf::from(env::var("OUT_DIR")?).join("page");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", web.join(source).display());
    }
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rustc-check-cfg=cfg(page_is_missing)");
    if let Err(missing) = build(&web, &out) {
        println!("cargo:warning=the observatory's page is not in this build: {missing}");
        println!("cargo:rustc-cfg=page_is_missing");
        fs::create_dir_all(&out)?;
        let text =
            format!("<!doctype html><title>Candor</title><p>This build has no page: {missing}. The APIs work.\n");
        fs::write(out.join("index.html"), text)?;
    }
    Ok(())
}

fn build(web: &Path, out: &Path) -> Result<(), String> {
    let version = Command::new("node").arg("--version").output();
    if !version.is_ok_and(|found| found.status.success()) {
        return Err("Node.js is missing; install nodejs (20.19 or newer) and npm, then build again".to_owned());
    }
    if !is_installed(web) {
        npm(web, out, &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(web, out, &["run", "--silent", "build"])
}

/// Whether `node_modules` is what the lock file says: npm leaves a copy of it there, which is as new as the installation.
fn is_installed(web: &Path) -> bool {
    let changed = |path: &str| fs::metadata(web.join(path)).and_then(|found| found.modified()).ok();
    changed("node_modules/.package-lock.json").is_some_and(|installed| Some(installed) >= changed("package-lock.json"))
}

fn npm(web: &Path, out: &Path, words: &[&str]) -> Result<(), String> {
    let shown = words.join(" ");
    let output = Command::new("npm")
        .args(words)
        .current_dir(web)
        .env("PAGE_OUT", out)
        .output()
        .map_err(|fault| format!("`npm {shown}` does not start ({fault}); install npm"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().lines().next_back().unwrap_or_default().to_owned();
    Err(format!("`npm {shown}` in crates/page/web failed: {said}"))
}
