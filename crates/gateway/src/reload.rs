//! Files that are read again when they change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proxy::Drain;

/// How often a file is looked at. Its text is compared, not its date: a Kubernetes volume swaps a link under it.
const PERIOD: Duration = Duration::from_secs(1);

/// Reads a file and what it says.
///
/// # Errors
/// Where it cannot be read, or `parse` refuses it; with its name.
pub(crate) fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<(String, T), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let read = text.and_then(|text| parse(&text).map(|said| (text, said)));
    read.map_err(|problem| format!("{}: {problem}", path.display()))
}

/// Hands the text of `path` to `take` whenever it is another than `text`, until the drain begins. What `take` refuses, or
/// what cannot be read, is said once in the log, and whatever was in force stays so.
pub(crate) async fn watch(
    path: PathBuf,
    mut text: String,
    drain: Drain,
    mut take: impl FnMut(&str) -> Result<(), String>,
) {
    let mut complaint = None;
    while tokio::time::timeout(PERIOD, drain.begun()).await.is_err() {
        let read = match tokio::fs::read_to_string(&path).await {
            Ok(new) if new == text => Ok(()),
            Ok(new) => {
                text = new;
                take(&text).inspect(|()| tracing::info!(file = %path.display(), "file reloaded"))
            }
            Err(error) => Err(error.to_string()),
        };
        complaint = complain(&path, read.err(), complaint);
    }
}

/// Says what is wrong, unless it was said already; what is wrong now.
fn complain(path: &Path, problem: Option<String>, said: Option<String>) -> Option<String> {
    if let Some(problem) = problem.as_ref().filter(|problem| Some(*problem) != said.as_ref()) {
        tracing::warn!(file = %path.display(), %problem, "changed file not taken; the old one stays in force");
    }
    // A refused text stays refused until it changes.
    problem.or(said)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_taken_once_and_a_vanished_one_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let drain = Drain::new();
        let taken: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&taken);
        let take = move |text: &str| {
            log.lock().push(text.to_owned());
            if text == "bad" { Err("it is bad".to_owned()) } else { Ok(()) }
        };
        let watching = drain.spawn(watch(path.clone(), "one".to_owned(), drain.clone(), take));
        let until = async |count: usize| {
            while taken.lock().len() < count {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(taken.lock().is_empty(), "it has not changed");
        std::fs::write(&path, "bad").unwrap();
        until(1).await;
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        std::fs::write(&path, "two").unwrap();
        until(2).await;
        assert_eq!(*taken.lock(), ["bad", "two"]);
        drain.begin();
        watching.await.unwrap();
    }
}
