//! The tour of README.md, word by word, and the development stack that it stands on.
//!
//! The tour is the fenced blocks between `<!-- tour -->` and `<!-- /tour -->`. A line that begins with `$ ` is a
//! command (one ending in `\` goes on in the next line); the lines below it are what it prints, `…` standing for
//! anything. All commands run in one bash, in a folder whose `.dev` is a stack of this test. Only the ports differ:
//! 8000 to 8027, those of a stack without `--port-base`, become the test's own, in commands and in what they print.
//! Commands that start a stack (`scripts/up`, `scaidns dev`) are taken as done.

use std::path::{Path, PathBuf};

use scaidns::dev::process::Identity;

use crate::support::world::port_base;
use crate::support::{Output, Trials, executable, reaper, trials};

pub fn tests() -> Trials {
    trials![
        the_tour_of_the_readme_works_as_printed,
        a_tour_that_prints_something_else_is_noticed,
        a_stack_ends_without_leaving_a_process_and_finds_its_data_again,
        two_stacks_stand_side_by_side,
        what_keeps_a_stack_from_starting_is_one_line,
    ]
}

const DEFAULT_PORTS: std::ops::Range<u16> = 8_000..8_028;

struct Step {
    command: String,
    expected: Vec<String>,
}

/// A stack of `scaidns dev` in a folder's `.dev`.
struct Stack {
    folder: PathBuf,
    base: u16,
}

impl Stack {
    async fn start(name: &str) -> Self {
        let folder = reaper::folder(name);
        let stack = Self { folder, base: port_base().parse().expect("a port") };
        std::fs::create_dir_all(&stack.folder).expect("a folder");
        stack.up().await.ok();
        stack
    }

    async fn up(&self) -> Output {
        self.dev(&["--detach", "--data", ".dev", "--port-base", &self.base.to_string()]).await
    }

    async fn stop(&self) -> Output {
        self.dev(&["stop", "--data", ".dev"]).await
    }

    async fn dev(&self, arguments: &[&str]) -> Output {
        let mut command = executable::command(executable::SCAIDNS);
        // A MariaDB that starts removes what another has in the same folder for temporary tables.
        let temporary = self.folder.join("tmp");
        std::fs::create_dir_all(&temporary).expect("a folder");
        executable::run(command.arg("dev").args(arguments).env("TMPDIR", temporary).current_dir(&self.folder)).await
    }

    /// Runs lines of bash in the stack's folder, with the executable in the PATH.
    async fn bash(&self, script: &str) -> Output {
        let here = Path::new(executable::SCAIDNS).parent().expect("a folder");
        let path = format!("{}:{}", here.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = executable::command("/bin/bash");
        executable::run(command.args(["-c", script]).env("PATH", path).current_dir(&self.folder)).await
    }

    fn processes(&self) -> Vec<Identity> {
        let entries = std::fs::read_dir(self.folder.join(".dev/run")).expect("run").flatten();
        entries.filter_map(|entry| Identity::read(&entry.path())).filter(Identity::is_alive).collect()
    }

    fn variable(&self, name: &str) -> String {
        let env = std::fs::read_to_string(self.folder.join(".dev/env")).expect("env");
        let found = env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {name}"))
    }
}

async fn the_tour_of_the_readme_works_as_printed() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("README.md, with the tour between <!-- tour --> and <!-- /tour -->");
    let steps = steps(&readme).unwrap_or_else(|why| panic!("README.md: {why}"));
    let whole: String = steps.iter().map(|step| format!("{}\n", step.command)).collect();
    for part in ["shop.test", "_scaidns-verify", "check", "\"A\"", "\"MX\"", "\"TXT\"", "\"CNAME\"", "dig", "curl"] {
        assert!(whole.contains(part), "the tour does not do {part}:\n{whole}");
    }
    let stack = Stack::start("tour").await;
    if let Err(why) = walk(&stack, &steps).await {
        panic!("{why}");
    }
    stack.stop().await.ok();
}

async fn a_tour_that_prints_something_else_is_noticed() {
    let stack = Stack { folder: reaper::folder("walk"), base: 9_100 };
    std::fs::create_dir_all(&stack.folder).expect("a folder");
    let tour =
        |body: &str| steps(&format!("x\n<!-- tour -->\n```console\n{body}\n```\n<!-- /tour -->\ny")).expect("a tour");
    let good = "$ x=one\n$ echo \"$x\" \\\n>   two 8026\n… two 9…6\n$ printf 'a\\nb\\nc\\n'\na\n…\nc";
    walk(&stack, &tour(good)).await.expect("as printed");
    for bad in [
        "$ echo one\ntwo",
        "$ false",
        "$ echo one\none\ntwo",
        "$ printf 'a\\nb\\n'\nb\na",
        "$ printf 'one\\ntwo\\n'\none",
    ] {
        assert!(walk(&stack, &tour(bad)).await.is_err(), "{bad}");
    }
    for bad in ["", "<!-- tour -->\n$ ls", "<!-- tour -->\n<!-- /tour -->"] {
        assert!(steps(bad).is_err(), "{bad}");
    }
}

async fn a_stack_ends_without_leaving_a_process_and_finds_its_data_again() {
    let stack = Stack::start("again").await;
    let processes = stack.processes();
    assert!(processes.len() >= 6, "{processes:?}");
    let key = stack.variable("SCAIDNS_API_KEY");
    let create = r#"set -e; . .dev/env; curl -sf "$SCAIDNS_URL/api/v1/domains/" -H "X-API-Key: $SCAIDNS_API_KEY" \
        -H 'Content-Type: application/json' -d '{"name": "kept.test", "domain_type": "primary"}'"#;
    stack.bash(create).await.ok();
    let second = stack.up().await;
    assert_eq!(second.code, Some(1), "one stack a folder: {second:?}");
    assert!(second.stderr.contains("already running"), "{second:?}");

    stack.stop().await.ok();
    assert!(processes.iter().all(|process| !process.is_alive()), "{processes:?}");
    assert!(stack.stop().await.ok().is_empty(), "stopping twice is fine");

    stack.up().await.ok();
    assert_eq!(stack.variable("SCAIDNS_API_KEY"), key, "the key still works, so it stays");
    let list = r#"set -e; . .dev/env; curl -sf "$SCAIDNS_URL/api/v1/domains/" -H "X-API-Key: $SCAIDNS_API_KEY""#;
    let listed = stack.bash(list).await.ok();
    assert!(listed.contains("kept.test"), "{listed}");
    stack.stop().await.ok();
    stack.dev(&["reset", "--data", ".dev"]).await.ok();
    assert!(!stack.folder.join(".dev").exists());
}

async fn two_stacks_stand_side_by_side() {
    let (one, two) = tokio::join!(Stack::start("side-one"), Stack::start("side-two"));
    for stack in [&one, &two] {
        let me = r#"set -e; . .dev/env; curl -sf "$SCAIDNS_URL/api/v1/me/" -H "X-API-Key: $SCAIDNS_API_KEY""#;
        assert!(stack.bash(me).await.ok().contains("alice@northwind.test"));
    }
    assert_ne!(one.variable("SCAIDNS_URL"), two.variable("SCAIDNS_URL"));
    one.stop().await.ok();
    assert!(one.processes().is_empty() && two.processes().len() >= 6);
    two.stop().await.ok();
    assert!(two.processes().is_empty());
}

async fn what_keeps_a_stack_from_starting_is_one_line() {
    let stack = Stack { folder: reaper::folder("stuck"), base: port_base().parse().expect("a port") };
    std::fs::create_dir_all(stack.folder.join(".dev/mariadb")).expect("a folder");
    let half = stack.dev(&["--data", ".dev", "--port-base", &stack.base.to_string()]).await;
    assert!(half.code != Some(0) && half.stderr.contains("scaidns dev reset"), "{half:?}");
    stack.dev(&["reset", "--data", ".dev"]).await.ok();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", stack.base)).expect("the first port");
    let taken = stack.dev(&["--data", ".dev", "--port-base", &stack.base.to_string()]).await;
    assert!(taken.code != Some(0), "{taken:?}");
    let lines: Vec<&str> = taken.stderr.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].contains(&stack.base.to_string()) && lines[0].contains("--port-base"),
        "{taken:?}"
    );
    let wrong = stack.dev(&["--data", ".dev", "--port-base", "80"]).await;
    assert!(wrong.code != Some(0) && wrong.stderr.lines().count() == 1, "{wrong:?}");
}

/// The steps of a document.
fn steps(document: &str) -> Result<Vec<Step>, String> {
    let (_, rest) = document.split_once("<!-- tour -->").ok_or("there is no line <!-- tour -->")?;
    let (tour, _) = rest.split_once("<!-- /tour -->").ok_or("there is no line <!-- /tour -->")?;
    let mut steps: Vec<Step> = Vec::new();
    let (mut fenced, mut continued) = (false, false);
    for line in tour.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if !fenced {
            continue;
        }
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (_, Some(step)) if continued => {
                step.command.push('\n');
                step.command += line.strip_prefix("> ").unwrap_or(line);
            }
            (Some(command), _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
            (None, Some(step)) => step.expected.push(line.to_owned()),
            (None, None) => return Err(format!("{line:?} stands before the first command")),
        }
        continued = steps.last().is_some_and(|step| step.expected.is_empty() && step.command.ends_with('\\'));
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|line| line.trim().is_empty()) {
            step.expected.pop();
        }
    }
    let starts_stack = |step: &Step| {
        ["scripts/up", "scaidns dev", "git clone", "cd "].iter().any(|start| step.command.starts_with(start))
    };
    steps.retain(|step| !starts_stack(step));
    if steps.is_empty() { Err("the tour has no lines that begin with `$ `".to_owned()) } else { Ok(steps) }
}

/// Runs the steps in one bash, and compares.
async fn walk(stack: &Stack, steps: &[Step]) -> Result<(), String> {
    const MARK: &str = "--- end of step";
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        let command = with_ports(&step.command, stack.base);
        script += &format!("{command}\nprintf '\\n{MARK} %s\\n' \"$?\"\n");
    }
    let output = stack.bash(&script).await;
    let mut said = output.stdout.as_str();
    for (n, step) in steps.iter().enumerate() {
        let (printed, rest) =
            said.split_once(&format!("\n{MARK} ")).ok_or_else(|| format!("step {n} never ended: {said}"))?;
        let (code, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        said = rest;
        let shown = format!("$ {}\n{printed}", step.command);
        if code != "0" {
            return Err(format!("exit {code}:\n{shown}"));
        }
        let printed: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let expected: Vec<String> = step.expected.iter().map(|line| with_ports(line, stack.base)).collect();
        let expected: Vec<&str> = expected.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
        if !expected.is_empty() && !lines_match(&expected, &printed) {
            return Err(format!("README prints\n{}\nbut it was\n{shown}", expected.join("\n")));
        }
    }
    Ok(())
}

/// `…` alone in a line stands for any number of lines, within a line for any text.
fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, printed) => printed.is_none(),
        (Some((&"…", rest)), None) => lines_match(rest, printed),
        (Some((&"…", rest)), Some((_, others))) => lines_match(rest, printed) || lines_match(expected, others),
        (Some(_), None) => false,
        (Some((line, rest)), Some((found, others))) => text_matches(line, found) && lines_match(rest, others),
    }
}

fn text_matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('…') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|n| rest.is_char_boundary(*n)).any(|n| text_matches(after, &rest[n..]))
        }),
    }
}

/// The default ports replaced by those of a stack.
fn with_ports(text: &str, base: u16) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        match digits.parse::<u16>() {
            Ok(port) if DEFAULT_PORTS.contains(&port) && digits.len() == 4 => {
                out += &(base + (port - DEFAULT_PORTS.start)).to_string();
            }
            _ => out += &digits,
        }
        digits.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}
