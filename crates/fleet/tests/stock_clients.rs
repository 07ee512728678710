//! Clients that nobody wrote for Candor: OpenAI's for Python and JavaScript, and Anthropic's, of fixed versions, against a
//! gateway with keys before two engines.
//!
//! They are installed below the target directory when a test first needs them; `stock_clients/` says which.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Command as Cli;
use telemetry::{Telemetry, TelemetryConfig, exposition};
use tokio::process::Command;

/// SHA-256 of `sesame`.
const KEYS: &str = "tests:d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272\n";
const KEY: &str = "sesame";

/// What the clients are and what they do.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stock_clients")
}

/// Runs a program that must succeed; `package` brings it where it is missing.
async fn run(program: impl AsRef<OsStr>, package: &str, words: &[&OsStr], directory: &Path) {
    let program = program.as_ref();
    let output = Command::new(program).args(words).current_dir(directory).kill_on_drop(true).output().await;
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("{}: {error}; install the Debian package {package}", program.display()),
    };
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{} {words:?} ended with {}:\n{said}", program.display(), output.status);
}

/// An installed client's directory, made anew where `stamp` is not the one that it was made with.
fn place(name: &str, stamp: &str) -> (PathBuf, PathBuf, bool) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock-clients").join(name);
    let mark = directory.join("complete");
    let complete = fs::read_to_string(&mark).is_ok_and(|made_with| made_with == stamp);
    if !complete {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory below the target directory");
    }
    (directory, mark, complete)
}

/// A Python with the clients.
async fn python() -> PathBuf {
    let wanted = sources().join("requirements.txt");
    let stamp = fs::read_to_string(&wanted).expect("the requirements");
    let (directory, mark, complete) = place("python", &stamp);
    let python = directory.join("bin/python");
    if !complete {
        run("python3", "python3-venv", &["-m", "venv", "."].map(OsStr::new), &directory).await;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"].map(OsStr::new);
        run(&python, "python3-venv", &[&install[..], &[wanted.as_os_str()]].concat(), &directory).await;
        fs::write(mark, stamp).expect("the mark");
    }
    python
}

/// A directory in which Node finds the client.
async fn node() -> PathBuf {
    let stamp = fs::read_to_string(sources().join("package-lock.json")).expect("the lock file");
    let (directory, mark, complete) = place("node", &stamp);
    for file in ["package.json", "package-lock.json", "client.mjs"] {
        fs::copy(sources().join(file), directory.join(file)).expect("a copy");
    }
    if !complete {
        let install = ["ci", "--no-audit", "--no-fund", "--loglevel=error"].map(OsStr::new);
        run("npm", "npm", &install, &directory).await;
        fs::write(mark, stamp).expect("the mark");
    }
    directory
}

/// Arguments as a command line would give them.
fn read<T: clap::FromArgMatches + clap::Args>(words: &[&str]) -> T {
    let command = T::augment_args(Cli::new("test").no_binary_name(true));
    T::from_arg_matches(&command.get_matches_from(words)).expect("arguments")
}

struct Deployment {
    engines: Vec<engine::Running>,
    gateway: gateway::Running,
    _keys: tempfile::NamedTempFile,
}

impl Deployment {
    async fn start() -> Self {
        let telemetry = |name| Telemetry::new(TelemetryConfig::new(name)).expect("telemetry");
        let mut engines = Vec::new();
        for _ in 0..2 {
            let words = ["--port=0", "--model=tiny", "--max-model-len=4096", "--prefill-base=1ms", "--decode-step=1ms"];
            let config = read::<engine::Args>(&words).validate().expect("an engine's configuration");
            engines.push(engine::start(config, telemetry("vllm")).await.expect("an engine"));
        }
        let keys = tempfile::NamedTempFile::new().expect("a file");
        fs::write(keys.path(), KEYS).expect("keys");
        let list: Vec<_> = engines.iter().map(|engine| engine.addr.to_string()).collect();
        let args = gateway::Args::default().with("host", "127.0.0.1").with("port", "0");
        let args = args.with("neutral-endpoints", list.join(","));
        let config = args.with("api-keys-file", keys.path().display().to_string()).validate();
        let gateway = gateway::start(config.expect("a gateway's configuration"), telemetry("candor-gateway"));
        Self { engines, gateway: gateway.await.expect("a gateway"), _keys: keys }
    }

    fn url(&self) -> String {
        format!("http://{}", self.gateway.addr)
    }

    /// Waits until `left` clients' leaving was counted, which must be felt by the engines, and stops everything.
    async fn stop(self, left: f64) {
        let metrics = audit::Endpoint::metrics(self.gateway.addr);
        let counting = async {
            loop {
                let scrape = exposition::parse(&metrics.text().await.expect("metrics")).expect("an exposition");
                let counted = |status| scrape.sum("request_total", &[("status_code", status)]).unwrap_or(0.0);
                assert_eq!(counted("502") + counted("503") + counted("504"), 0.0);
                if counted("499") == left {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counting).await.expect("every client that left is counted");
        // An engine drains only once nobody is served any more: a request that was not cancelled would run for seconds.
        let report = self.gateway.shutdown().await;
        assert!(report.complete, "{report:?}");
        for engine in self.engines {
            assert!(engine.shutdown().await.complete);
        }
    }
}

#[tokio::test]
async fn the_python_clients_of_openai_and_anthropic_are_served() {
    let python = python().await;
    let deployment = Deployment::start().await;
    let (script, url) = (sources().join("client.py"), deployment.url());
    let words = [script.as_os_str(), OsStr::new(&url), OsStr::new(KEY)];
    run(python, "python3-venv", &words, &sources()).await;
    deployment.stop(2.0).await;
}

#[tokio::test]
async fn the_javascript_client_of_openai_is_served() {
    let directory = node().await;
    let deployment = Deployment::start().await;
    let url = deployment.url();
    let words = ["client.mjs", &url, KEY].map(OsStr::new);
    run("node", "nodejs", &words, &directory).await;
    deployment.stop(2.0).await;
}
