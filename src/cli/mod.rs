//! The command line: arguments in, one call of the library, an answer and an exit status out.
//!
//! Whatever a command can do, the library can; nothing here knows how a sync works. A command is a struct of its
//! arguments with one method, `run`, which hands back an [`Exit`] or a [`Failed`]. What it has to say goes through
//! [`Out::answer`](out::Out::answer), which prints one JSON document or a text for people, never both.
//!
//! | file | what it holds |
//! |---|---|
//! | `settings` | flags, environment and defaults; opens the file and the way to the store |
//! | `out`, `render`, `sides` | standard output; values, times and tables for people; values beside each other |
//! | `exit` | exit statuses and how a failure is told |
//! | `dump` | that no core dump is left
//! | `help` | what `--help` says |
//! | `sync`, `progress` | `pull`, `push`, `sync`; their bar |
//! | `worker` | the background worker as a process; commands in, events out |
//! | `inspect` | the page for the person at the shop, served |
//! | `fleet` | the other tills, and what they share |
//! | `policies` | who decides when both sides changed an attribute |
//! | `new`, `edit`, `read`, `decide` | `new`; `edit`, `credit`; `show`, `find`, `diff`, `status`, `log`; `conflicts` to `discard` |
//! | `attribute` | what a customer has of what the shop has defined |
//! | `prune`, `floor` | `prune`, `forget`; `floor` |
//! | `backup`, `restore`, `rekey`, `doctor`, `report`, `sandbox`, `demo` | the commands of those names |

mod address;
mod attribute;
mod backup;
mod create;
mod decide;
mod delete;
mod demo;
mod doctor;
mod dump;
mod edit;
mod exit;
mod fleet;
mod floor;
mod help;
mod inspect;
mod new;
mod out;
mod policies;
mod progress;
mod prune;
mod read;
mod rekey;
mod render;
mod report;
mod sandbox;
mod settings;
mod sides;
mod sync;
mod worker;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use exit::{Exit, Failed};
use settings::{Settings, Till};
use tillsync::LogLevel;

/// What a command comes to.
type Done = Result<Exit, Failed>;

/// Offline-first sync of BigCommerce customers for tills: edits are journaled in a SQLite file, and sent later with
/// the fewest and smallest calls.
#[derive(Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = AFTER_SHORT_HELP, after_long_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

const AFTER_SHORT_HELP: &str = "\
tillsync help COMMAND tells more of one; tillsync --help has the settings and the exit statuses. Begin with: tillsync demo";

const AFTER_HELP: &str = "\
Exit status:
  0  done; everything asked for is in place
  1  an unexpected failure
  2  usage: unknown command, field or value; nothing was journaled
  3  done, but rejected edits or conflicts want a person
  4  the store cannot be reached; every edit is kept
  5  the store refused the token, the scope or the store hash; every edit is kept
  6  the database: not there, locked, corrupt, of a newer schema, disk full, wrong key

Logs go to standard error: TILLSYNC_LOG=debug shows what a sync does.

Example:
  tillsync demo";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Sandbox(sandbox::Serve),
    Create(create::Create),
    Pull(sync::Pull),
    New(new::New),
    Delete(delete::Delete),
    Edit(edit::Edit),
    Credit(edit::Credit),
    Address(address::Address),
    Attribute(attribute::Attribute),
    Floor(floor::Floor),
    Show(read::Show),
    Find(read::Find),
    Diff(read::Diff),
    Push(sync::Push),
    Sync(sync::Sync),
    Worker(worker::Worker),
    Status(read::Status),
    Inspect(inspect::Inspect),
    Fleet(fleet::Fleet),
    Log(read::Log),
    Conflicts(decide::Conflicts),
    Resolve(decide::Resolve),
    Undo(decide::Undo),
    Rejected(decide::Rejected),
    Retry(decide::Retry),
    Discard(decide::Discard),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Rekey(rekey::Rekey),
    Prune(prune::Prune),
    Forget(prune::Forget),
    Doctor(doctor::Doctor),
    Report(report::Report),
    Completions(Completions),
}

impl Command {
    /// Whether all that went wrong stands in its answer, as it does but for what runs on and on.
    fn tells_by_itself(&self) -> bool {
        match self {
            Command::Worker(_) | Command::Inspect(_) => false,
            Command::Sandbox(command) => !command.serves(),
            _ => true,
        }
    }

    /// Where its log goes, where that is not standard error.
    fn log(&self) -> Option<(&Path, LogLevel)> {
        match self {
            Command::Worker(worker) => worker.log(),
            _ => None,
        }
    }

    fn run(self, till: &Till) -> Done {
        match self {
            Command::Demo(command) => command.run(till),
            Command::Sandbox(command) => command.run(till),
            Command::Create(command) => command.run(till),
            Command::Pull(command) => command.run(till),
            Command::New(command) => command.run(till),
            Command::Delete(command) => command.run(till),
            Command::Edit(command) => command.run(till),
            Command::Credit(command) => command.run(till),
            Command::Address(command) => command.run(till),
            Command::Attribute(command) => command.run(till),
            Command::Floor(command) => command.run(till),
            Command::Show(command) => command.run(till),
            Command::Find(command) => command.run(till),
            Command::Diff(command) => command.run(till),
            Command::Push(command) => command.run(till),
            Command::Sync(command) => command.run(till),
            Command::Worker(command) => command.run(till),
            Command::Status(command) => command.run(till),
            Command::Inspect(command) => command.run(till),
            Command::Fleet(command) => command.run(till),
            Command::Log(command) => command.run(till),
            Command::Conflicts(command) => command.run(till),
            Command::Resolve(command) => command.run(till),
            Command::Undo(command) => command.run(till),
            Command::Rejected(command) => command.run(till),
            Command::Retry(command) => command.run(till),
            Command::Discard(command) => command.run(till),
            Command::Backup(command) => command.run(till),
            Command::Restore(command) => command.run(till),
            Command::Rekey(command) => command.run(till),
            Command::Prune(command) => command.run(till),
            Command::Forget(command) => command.run(till),
            Command::Doctor(command) => command.run(till),
            Command::Report(command) => command.run(till),
            Command::Completions(command) => command.run(till),
        }
    }
}

/// Reads the arguments, runs the command, and says how it went.
pub(crate) fn run() -> ExitCode {
    dump::forbid();
    leave_lack_of_threads_to_its_error();
    let colour = out::Colour::asked_for(std::env::args_os());
    colour.choose();
    let arguments =
        help::shown(settings::unless_empty(Cli::command())).color(colour.of_help()).try_get_matches();
    let cli = match arguments.and_then(|given| Cli::from_arg_matches(&given)) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&overview_for(error, colour)).into(),
    };
    let till = Till::new(cli.settings);
    let run = || {
        match cli.command.log() {
            Some((file, level)) => tillsync::log_to(file, level, till.path())?,
            None => start_logs(cli.command.tells_by_itself()),
        }
        cli.command.run(&till)
    };
    run().unwrap_or_else(|failed| failed.tell(&till.out)).into()
}

/// The HTTP client panics where the system gives it no thread to look up a name. That is told as `no_thread`, and no defect.
fn leave_lack_of_threads_to_its_error() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if tillsync::system::lack_of_threads(panic.payload()).is_none() {
            usual(panic);
        }
    }));
}

/// Where no command is given, the overview is the answer. To clap a setting that the environment has is an argument, after which
/// it would find fault instead.
fn overview_for(error: clap::Error, colour: out::Colour) -> clap::Error {
    let is_bare =
        std::env::args_os().count() == 1 && error.kind() == clap::error::ErrorKind::MissingSubcommand;
    let bare = || {
        let root = Cli::command().mut_args(|setting| setting.env(None::<&'static str>));
        help::shown(root).color(colour.of_help()).try_get_matches_from(["tillsync"]).err()
    };
    is_bare.then(bare).flatten().unwrap_or(error)
}

/// Logs go to standard error, so that standard output stays the answer alone. What a command's own answer tells is not
/// told a second time by a warning above it.
fn start_logs(answers: bool) {
    let usual = if answers { "error" } else { "warn" };
    let wanted = EnvFilter::try_from_env("TILLSYNC_LOG")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = fmt::layer().with_ansi(out::logs_in_colour()).with_writer(|| out::LogLines);
    tracing_subscriber::registry().with(wanted).with(filter_fn(is_discreet)).with(lines).init();
}

/// Whatever is asked for, nobody but this crate may log at `trace`: there the HTTP client writes every byte that goes
/// over the wire, the token and new passwords among them.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() != Level::TRACE || metadata.target().starts_with("tillsync")
}

/// Print the completions of a shell
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tillsync completions bash > /etc/bash_completion.d/till")]
struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    fn run(self, till: &Till) -> Done {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tillsync", &mut script);
        let script = String::from_utf8_lossy(&script);
        let document = serde_json::json!({ "shell": self.shell.to_string(), "script": script });
        till.out.answer(&document, || script.trim_end().to_owned())?;
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_and_describes_all_it_takes() {
        let root = Cli::command();
        let all = root
            .get_subcommands()
            .flat_map(|command| std::iter::once(command).chain(command.get_subcommands()));
        for command in all {
            let name = command.get_name();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("Example"), "{name} has no example");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {} is not described", argument.get_id());
            }
        }
    }
}
