//! What `--help` says: every command by what a person wants of it, and only what is a command's own. The settings that all
//! commands take stand once, at `tillsync --help`.

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Arg, Command};

const HEADING: Style = AnsiColor::Green.on_default().bold();
const NAME: Style = AnsiColor::Cyan.on_default().bold();

/// The colours of cargo, where there is a terminal and `NO_COLOR` is not set.
pub(super) const STYLES: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(NAME)
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold())
    .valid(NAME)
    .invalid(AnsiColor::Yellow.on_default().bold());

const ROOT: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}";

const ELSEWHERE: &str = "Settings, such as --db and --json: tillsync --help";

/// What a person wants, and the commands for it, in the order in which a day needs them.
const GROUPS: &[(&str, &[&str])] = &[
    ("Try it", &["demo", "sandbox"]),
    ("Bring the store here", &["create", "pull"]),
    ("Look and edit", &["find", "show", "new", "edit", "credit", "delete", "floor", "diff", "log"]),
    ("Bring the store up to date", &["sync", "push", "worker", "status", "fleet"]),
    ("Decide what waits for a person", &["conflicts", "resolve", "undo", "rejected", "retry", "discard"]),
];

/// Where a command stands that no group names.
const REST: &str = "Look after the file";

/// The commands as they are shown. What they take is what it was.
pub(super) fn shown(root: Command) -> Command {
    let settings: Vec<Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let overview = overview(&root);
    let commands = |command: Command| of_its_own(command, &settings);
    root.mut_subcommands(commands)
        .mut_args(|arg| if arg.is_global_set() { arg.hide_short_help(true) } else { arg })
        .override_usage("tillsync COMMAND [OPTIONS]")
        .help_template(ROOT)
        .before_help(overview)
        .styles(STYLES)
}

/// A command without the settings of all.
fn of_its_own(command: Command, settings: &[Arg]) -> Command {
    let usage = usage(&command);
    let more = match command.get_after_help() {
        Some(own) => format!("{own}\n\n{ELSEWHERE}"),
        None => ELSEWHERE.to_owned(),
    };
    let hidden = settings.iter().map(|setting| setting.clone().hide(true));
    command.args(hidden).after_help(more).override_usage(usage).hide(true)
}

/// How it is called; clap's own would show options that happen to be set as if they were required.
fn usage(command: &Command) -> String {
    let whole = command.clone().bin_name(format!("tillsync {}", command.get_name()));
    let usage = whole.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

/// Every command in its group, a line each.
fn overview(root: &Command) -> String {
    let named = |name: &&str| GROUPS.iter().any(|(_, names)| names.contains(name));
    let rest: Vec<&str> = root.get_subcommands().map(Command::get_name).filter(|name| !named(name)).collect();
    let groups = GROUPS.iter().copied().chain([(REST, rest.as_slice())]);
    let group = |(heading, names): (&str, &[&str])| {
        let lines: Vec<String> = names.iter().map(|name| line(root, name)).collect();
        format!("{HEADING}{heading}{HEADING:#}\n{}", lines.join("\n"))
    };
    let groups: Vec<String> = groups.map(group).collect();
    groups.join("\n\n")
}

fn line(root: &Command, name: &str) -> String {
    let about = root.find_subcommand(name).and_then(Command::get_about);
    let about = about.map(ToString::to_string).unwrap_or_default();
    format!("  {NAME}{name:<12}{NAME:#} {about}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    #[test]
    fn a_group_names_only_commands_that_there_are() {
        let root = Cli::command();
        for name in GROUPS.iter().flat_map(|(_, names)| *names) {
            assert!(root.find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_narrow_terminal_folds_no_line_of_the_overview() {
        for command in Cli::command().get_subcommands() {
            let line = line(&Cli::command(), command.get_name());
            let bare = line.chars().count()
                - NAME.render().to_string().len()
                - NAME.render_reset().to_string().len();
            assert!(bare <= 60, "{bare} signs: {line}");
        }
    }

    /// It is copied as it is shown.
    #[test]
    fn a_narrow_terminal_folds_no_example() {
        let root = Cli::command();
        let commands =
            || root.get_subcommands().flat_map(|one| std::iter::once(one).chain(one.get_subcommands()));
        for command in commands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().skip_while(|line| !line.starts_with("Example")) {
                let is_of_it = line.starts_with("  ");
                assert!(!is_of_it || line.chars().count() <= 60, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn a_comment_to_an_example_stands_on_a_line_of_its_own() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  tillsync")) {
                assert!(!line.trim_start().contains("  "), "{}: {line}", command.get_name());
            }
        }
    }
}
