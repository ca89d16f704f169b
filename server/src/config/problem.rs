//! What is wrong with a configuration: file, line, key, and what was expected.

use std::fmt;

use crate::exit::Exit;

/// Where a setting comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A line of a file, from 1.
    Line(String, usize),
    /// An environment variable.
    Variable(&'static str),
    /// An argument of the command line, by its name.
    Argument(&'static str),
    /// A file as a whole.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Argument(name) => write!(f, "argument {name}"),
            Self::File(file) => f.write_str(file),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    origin: Option<Origin>,
    key: Option<String>,
    what: String,
}

impl Problem {
    /// A problem of the whole configuration.
    pub fn new(what: impl Into<String>) -> Self {
        Self { origin: None, key: None, what: what.into() }
    }
    /// The same, found on this line.
    #[must_use]
    pub fn at(self, file: &str, line: usize) -> Self {
        self.from(Origin::Line(file.to_owned(), line))
    }
    /// The same, found there.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }
    /// The same, about this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Why a server cannot start: everything that was found, and the exit code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
    /// For the shell.
    pub exit: Exit,
}

impl ConfigError {
    /// An invalid configuration.
    #[must_use]
    pub fn invalid(problems: Vec<Problem>) -> Self {
        Self { problems, exit: Exit::Invalid }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self::invalid(vec![problem])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
