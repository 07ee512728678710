//! The observatory's page, as bytes: the built web application, and the dashboards that it renders.
//!
//! The sources are under `web/` (TypeScript, Preact, uPlot); the build script bundles them. The page asks nothing but the
//! Prometheus and Tempo APIs of the server it came from, so any server that has those can serve it.

use std::borrow::Cow;

use rust_embed::RustEmbed;

/// What the bundler left.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Bundle;

/// Whether the build had what it takes to bundle the page; where not, [`asset`] has a page that says what was missing.
pub const fn is_built() -> bool {
    !cfg!(page_is_missing)
}

/// A file of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub content_type: &'static str,
    /// Whether its name changes with its content, so that a browser may keep it for ever.
    pub immutable: bool,
}

/// The file at a path of the server: `/` and what the page loads, and `/dashboards/NAME.json`.
pub fn asset(path: &str) -> Option<Asset> {
    if let Some(name) = path.strip_prefix("/dashboards/") {
        let file = dashboards::dashboards().into_iter().find(|file| file.name == name)?;
        return Some(Asset {
            bytes: Cow::Owned(file.text.into_bytes()),
            content_type: "application/json",
            immutable: false,
        });
    }
    let name = if path == "/" { "index.html" } else { path.strip_prefix('/')? };
    let file = Bundle::get(name)?;
    Some(Asset { bytes: file.data, content_type: content_type(name), immutable: name.starts_with("assets/") })
}

/// The few types that a bundle has.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
