//! What the benches of the scheduler share: a Redis, a scheduler on a core of its own, and requests to it.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::exposition::{self, Series};
use crate::process::{Launch, Process, ProcessError, exchange, free_address};
use crate::stopwatch::{SECOND, now};
use crate::wire::{Message, Role};

/// Longest time that instances may take to be known.
const KNOWN_LIMIT: u64 = 30 * SECOND;
const PAUSE: Duration = Duration::from_millis(20);

/// Debian's Redis, where instances say how they are.
#[derive(Debug)]
pub(crate) struct Redis {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// Starts an empty one on `cpu`, and waits until it answers.
    pub(crate) fn start(directory: &Path, cpu: usize) -> Result<Self, Error> {
        let program = installed("redis-server", "redis-server")?;
        let address = free_address()?;
        let port = address.port().to_string();
        let words = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let command = std::iter::once(program.into_os_string()).chain(words.map(OsString::from));
        let launch = Launch { name: "redis".to_owned(), command: command.collect(), environment: Vec::new(), cpu };
        let process = Process::start(&launch, directory)?;
        let began = now();
        while ask(address, &[&["PING"]]).is_err() {
            if now() - began > KNOWN_LIMIT {
                return Err(ProcessError::io("redis-server does not answer")(io::ErrorKind::TimedOut.into()).into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Self { _process: process, address })
    }

    /// As flags take it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Puts a value under each key.
    pub(crate) fn put(&self, values: &[(String, Vec<u8>)]) -> Result<(), Error> {
        let commands: Vec<[&[u8]; 3]> =
            values.iter().map(|(key, value)| [&b"SET"[..], key.as_bytes(), value]).collect();
        let commands: Vec<&[&[u8]]> = commands.iter().map(<[&[u8]; 3]>::as_slice).collect();
        Ok(ask(self.address, &commands).map_err(ProcessError::io("redis-server takes no records"))?)
    }
}

/// Sends commands in one go and waits for as many answers, which must be `+…`.
fn ask<W: AsRef<[u8]>>(address: SocketAddr, commands: &[&[W]]) -> io::Result<()> {
    let mut text = Vec::new();
    for words in commands {
        write!(text, "*{}\r\n", words.len())?;
        for word in *words {
            write!(text, "${}\r\n", word.as_ref().len())?;
            text.extend_from_slice(word.as_ref());
            text.extend_from_slice(b"\r\n");
        }
    }
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(&text)?;
    let (mut answered, mut buffer) = (0, [0; 8 * 1024]);
    while answered < commands.len() {
        let count = socket.read(&mut buffer)?;
        if count == 0 || buffer[..count].contains(&b'-') {
            return Err(io::Error::other(String::from_utf8_lossy(&buffer[..count]).into_owned()));
        }
        answered += buffer[..count].iter().filter(|&&byte| byte == b'\n').count();
    }
    Ok(())
}

/// The path of a program, or which package has it.
fn installed(program: &'static str, package: &'static str) -> Result<PathBuf, Error> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.ok_or(Error::Missing { program, package })
}

/// A `candor` process that serves HTTP.
pub(crate) fn candor(name: &str, words: &[String], cpu: usize, directory: &Path) -> Result<Process, Error> {
    let program = std::env::current_exe().map_err(ProcessError::io("cannot find this executable"))?;
    let command = std::iter::once(program.into_os_string()).chain(words.iter().map(OsString::from)).collect();
    let environment = vec![("CANDOR_LOG", "warn".to_owned())];
    Ok(Process::start(&Launch { name: name.to_owned(), command, environment, cpu }, directory)?)
}

/// A scheduler.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Scheduler {
    /// Starts one over `redis` on `cpu`, and waits until it knows so many instances.
    pub(crate) fn start(
        redis: &Redis,
        flags: &[&str],
        instances: usize,
        (cpu, directory): (usize, &Path),
    ) -> Result<Self, Error> {
        let address = free_address()?;
        let own = ["scheduler", "--host", "127.0.0.1", "--port", &address.port().to_string(), "--cms", &redis.url()];
        let words: Vec<String> = own.iter().chain(flags).map(|&word| word.to_owned()).collect();
        let mut process = candor("scheduler", &words, cpu, directory)?;
        process.first_answer(address, &get(address, "/healthz"))?;
        let (began, wanted) = (now(), format!("\"instances\":{instances},"));
        while !exchange(address, &get(address, "/readyz")).is_ok_and(|(_, body)| body.contains(&wanted)) {
            if now() - began > KNOWN_LIMIT {
                let why = io::Error::new(io::ErrorKind::TimedOut, format!("it never knew {instances} instances"));
                return Err(ProcessError::io("scheduler")(why).into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(Self { process, address })
    }

    /// The values of its metrics that begin with `name`, up to the first space: label text and number.
    pub(crate) fn scrape(&self, name: &str) -> Result<Vec<Series>, Error> {
        Ok(exposition::scrape(self.address, name)?)
    }

    /// The sum of the series that are called exactly `name`.
    pub(crate) fn value(&self, name: &str) -> Result<f64, Error> {
        Ok(exposition::value(self.address, name)?)
    }
}

/// A question without a body.
pub(crate) fn get(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// A question with a JSON body, and an id of its own where it has one.
pub(crate) fn post(address: SocketAddr, path: &str, id: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-request-id: {id}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A kept-alive connection that asks one thing after another.
#[derive(Debug)]
pub(crate) struct Line {
    socket: TcpStream,
    message: Message,
}

impl Line {
    pub(crate) fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Self { socket, message: Message::new(Role::Response) })
    }

    /// Asks, and tells `seen` the body as far as it has come, each time that more has.
    pub(crate) fn ask(&mut self, request: &[u8], mut seen: impl FnMut(&[u8])) -> io::Result<(u16, &[u8])> {
        self.message.reset();
        self.socket.write_all(request)?;
        let mut buffer = [0; 16 * 1024];
        while !self.message.is_done() {
            let count = self.socket.read(&mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.message.feed(&buffer[..count]).map_err(io::Error::other)?;
            seen(self.message.body());
        }
        Ok((self.message.status().unwrap_or(0), self.message.body()))
    }
}
