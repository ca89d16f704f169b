//! The log: ZooKeeper's layout for people, one JSON object a line for machines.

use std::cell::Cell;
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use quorate_core::ids::Sid;

use crate::time_text::{Utc, now_ms};

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// `2026-01-01 12:00:00,000 [myid:1] - INFO  [main:server] - message`, UTC.
    #[default]
    Human,
    /// One object a line: timestamp, level, myid, thread, target, message and what the message carries.
    Json,
}

/// Where lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// Standard output: the log of record.
    Stdout,
    /// Standard error: where standard output is for people.
    Stderr,
}

/// No server: before the configuration is read.
const NO_ID: i64 = i64::MIN;
static PROCESS_ID: AtomicI64 = AtomicI64::new(NO_ID);
thread_local! {
    static THREAD_ID: Cell<i64> = const { Cell::new(NO_ID) };
}

/// The id of the only server in this process.
pub fn set_process_id(sid: Sid) {
    PROCESS_ID.store(sid.0, Ordering::Relaxed);
}

/// The id of the server that this thread works for, where there are several in one process.
pub fn set_thread_id(sid: Sid) {
    THREAD_ID.set(sid.0);
}

fn current_id() -> Option<i64> {
    let own = THREAD_ID.get();
    let id = if own == NO_ID { PROCESS_ID.load(Ordering::Relaxed) } else { own };
    (id != NO_ID).then_some(id)
}

/// Starts the log, at `level` unless `RUST_LOG` says otherwise. A second call has no effect.
pub fn start(format: LogFormat, target: LogTarget, level: Level) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(level.as_str()),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).event_format(Layout(format));
    // A log that somebody has already started stays.
    let _ = match target {
        LogTarget::Stdout => builder.try_init(),
        LogTarget::Stderr => builder.with_writer(std::io::stderr).try_init(),
    };
}

/// Sends panics to the log, as ZooKeeper names them, in place of standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        tracing::error!("Severe unrecoverable error, from thread : {name}: {panic}");
        if std::io::stderr().is_terminal() || !tracing::enabled!(Level::ERROR) {
            eprintln!("{panic}");
        }
    }));
}

struct Layout(LogFormat);

impl<S, N> FormatEvent<S, N> for Layout
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let meta = event.metadata();
        let thread = std::thread::current();
        let origin = Origin {
            time: Utc::from_ms(now_ms()),
            level: *meta.level(),
            thread: thread.name().unwrap_or("unnamed"),
            target: meta.target(),
            id: current_id(),
        };
        match self.0 {
            LogFormat::Human => origin.human(&line, &mut out),
            LogFormat::Json => origin.json(line, &mut out),
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    fields: Map<String, Value>,
}

impl Line {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(value.to_owned()));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

struct Origin<'a> {
    time: Utc,
    level: Level,
    thread: &'a str,
    target: &'a str,
    id: Option<i64>,
}

impl Origin<'_> {
    fn human(&self, line: &Line, out: &mut impl fmt::Write) -> fmt::Result {
        let place = self.target.rsplit("::").next().unwrap_or_default();
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        let (time, thread) = (self.time.log_text(), self.thread);
        write!(out, "{time} [myid:{id}] - {:<5} [{thread}:{place}] - ", self.level.as_str())?;
        plain(&line.message, out)?;
        for (name, value) in &line.fields {
            write!(out, " {name}=")?;
            match value {
                Value::String(text) => plain(text, out)?,
                other => write!(out, "{other}")?,
            }
        }
        out.write_char('\n')
    }

    fn json(&self, line: Line, out: &mut impl fmt::Write) -> fmt::Result {
        let mut object = Map::new();
        object.insert("timestamp".into(), self.time.iso_text().into());
        object.insert("level".into(), self.level.as_str().into());
        if let Some(id) = self.id {
            object.insert("myid".into(), id.into());
        }
        object.insert("thread".into(), self.thread.into());
        object.insert("target".into(), self.target.into());
        object.insert("message".into(), line.message.into());
        for (name, value) in line.fields {
            object.entry(name).or_insert(value);
        }
        writeln!(out, "{}", Value::Object(object))
    }
}

/// Text of others on one line: nobody forges a line of the log by a line break in a path.
fn plain(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            write!(out, "{}", c.escape_default())?;
        } else {
            out.write_char(c)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin<'static> {
        let time = Utc::from_ms(1_795_228_735_007);
        Origin { time, level: Level::INFO, thread: "main", target: "quorate_server::serve", id: Some(1) }
    }

    fn line() -> Line {
        let fields = Map::from_iter([("port".to_owned(), Value::from(2181))]);
        Line { message: "binding to port\n\"x\"".into(), fields }
    }

    #[test]
    fn human() {
        let mut out = String::new();
        origin().human(&line(), &mut out).unwrap();
        assert_eq!(out, "2026-11-21 02:38:55,007 [myid:1] - INFO  [main:serve] - binding to port\\n\"x\" port=2181\n");
    }

    #[test]
    fn json() {
        let mut out = String::new();
        origin().json(line(), &mut out).unwrap();
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(out.lines().count(), 1);
        assert_eq!(value["timestamp"], "2026-11-21T02:38:55.007Z");
        assert_eq!((&value["level"], &value["myid"], &value["port"]), (&"INFO".into(), &1.into(), &2181.into()));
        assert_eq!(value["message"], "binding to port\n\"x\"");
    }
}
