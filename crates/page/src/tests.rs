use super::*;

/// The paths that `index.html` loads.
fn loaded(html: &str) -> Vec<&str> {
    html.split('"').filter_map(|word| word.strip_prefix("./")).map(|path| path.trim_start_matches("./")).collect()
}

#[test]
fn the_page_is_in_this_build() {
    assert!(is_built(), "the page is missing: install nodejs (20.19 or newer) and npm, then build again");
}

#[test]
fn the_page_loads_nothing_that_is_not_here() {
    let index = asset("/").unwrap();
    assert_eq!(index.content_type, "text/html; charset=utf-8");
    let html = String::from_utf8(index.bytes.into_owned()).unwrap();
    let paths = loaded(&html);
    assert!(
        paths.iter().any(|path| path.ends_with(".js")) && paths.iter().any(|path| path.ends_with(".css")),
        "{html}"
    );
    for path in paths {
        let found = asset(&format!("/{path}")).unwrap_or_else(|| panic!("{path} is not in the bundle"));
        assert_eq!(found.immutable, path.starts_with("assets/"), "{path}");
        assert!(!found.bytes.is_empty());
    }
    assert!(!html.contains("http://") && !html.contains("https://"), "the page names another machine: {html}");
}

#[test]
fn dashboards_are_served_as_their_files_are() {
    for file in dashboards::dashboards() {
        let found = asset(&format!("/dashboards/{}", file.name)).unwrap();
        assert_eq!((found.bytes.as_ref(), found.content_type), (file.text.as_bytes(), "application/json"));
    }
}

#[test]
fn what_is_not_there_is_not_there() {
    for path in ["/dashboards/other.json", "/dashboards/../Cargo.toml", "/nothing", "nothing", "", "/../build.rs"] {
        assert_eq!(asset(path), None, "{path}");
    }
}
