//! Runs the trials with the options and the output of `cargo test`, on one runtime, and ends what they started.

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed};
use tokio::runtime::{Builder, Runtime};

use super::reaper::Reaper;

/// A test that is not running yet.
pub struct Trial {
    module: &'static str,
    name: &'static str,
    body: Body,
}

pub type Trials = Vec<Trial>;
type Body = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

impl Trial {
    pub fn new<F: Future<Output = ()> + 'static>(
        name: &'static str,
        body: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self { module: "", name, body: Box::new(move || Box::pin(body())) }
    }

    pub fn within(self, module: &'static str) -> Self {
        Self { module, ..self }
    }
}

/// The async functions named, as trials under their names.
macro_rules! trials {
    ($($function:ident),* $(,)?) => {
        vec![$($crate::support::Trial::new(stringify!($function), $function)),*]
    };
}
pub(crate) use trials;

/// Where the servers' sockets, the clients and the in-process services live.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().enable_all().build().expect("a runtime"))
}

pub fn run(trials: Trials) -> ExitCode {
    let (mut arguments, filters) = arguments();
    // Tests wait for servers most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let exact = arguments.exact;
    let wanted = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| if exact { name == filter } else { name.contains(filter) })
    };
    let trials: Vec<libtest_mimic::Trial> = trials
        .into_iter()
        .map(|Trial { module, name, body }| (format!("{module}::{name}"), body))
        .filter(|(name, _)| wanted(name))
        .map(|(name, body)| libtest_mimic::Trial::test(name, move || run_one(body)))
        .collect();
    if arguments.list || trials.is_empty() {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let reaper = Reaper::start();
    let conclusion = libtest_mimic::run(&arguments, trials);
    reaper.finish(!conclusion.has_failed());
    conclusion.exit_code()
}

fn run_one(body: Body) -> Result<(), Failed> {
    runtime().block_on(body());
    Ok(())
}

/// Like `cargo test` with several filters, which libtest-mimic does not know: the words are ours, the options its.
fn arguments() -> (Arguments, Vec<String>) {
    let mut options = Vec::new();
    let mut filters = Vec::new();
    let mut words = std::env::args();
    options.extend(words.next());
    while let Some(word) = words.next() {
        let takes_value = ["--test-threads", "--skip", "--format", "--color", "--logfile", "-Z"].contains(&&*word);
        if !word.starts_with('-') {
            filters.push(word);
            continue;
        }
        options.push(word);
        if takes_value {
            options.extend(words.next());
        }
    }
    (Arguments::from_iter(options), filters)
}
