//! What the compiler cannot hold: the floors of the workspace, the words that no machine may say, who may be unsafe.
//!
//! Each rule is a function from the text of the tree to the list of what breaks it, so that the tests at the end can
//! show every rule failing on a tree that is broken on purpose.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Each crate's floor: it may use those below it, never one beside it, never one above.
const FLOORS: &[(&str, u32)] = &[
    ("hearth-proto", 0),
    ("hearth-core", 1),
    ("hearth-blocks", 2),
    ("hearth-plan", 2),
    ("hearth-launch", 2),
    ("hearth-master", 3),
    ("hearth-worker", 3),
    ("hearth-driver", 3),
    ("hearth-executor", 3),
    ("hearth", 4),
    ("hearth-integration", 5),
];

/// Words that bring the world into a machine, and what to do instead.
const FORBIDDEN_IN_MACHINES: &[(&str, &str)] = &[
    ("tokio", "a machine has no runtime; its shell has"),
    ("tonic", "a machine does not know the wire"),
    ("prost", "a machine takes the messages of hearth-core"),
    ("hearth_proto", "a machine takes the messages of hearth-core"),
    ("tracing", "log by an effect"),
    ("datafusion", "a payload is opaque to a machine"),
    ("Instant", "time is an argument: Now"),
    ("SystemTime", "wall-clock time enters inside events: WallTime"),
    ("rand::", "chance enters inside events"),
    ("std::env", "configuration enters as options"),
    ("HashMap", "iteration order must not depend on chance: BTreeMap"),
    ("HashSet", "iteration order must not depend on chance: BTreeSet"),
    ("async ", "a machine does not wait"),
];

/// Modules that may lift the workspace's denial of unsafe code.
const MAY_BE_UNSAFE: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file below the crates' sources, by its path relative to the root.
fn sources() -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, into: &mut BTreeMap<String, String>) {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, root, into);
                }
            } else if path.extension().is_some_and(|e| e == "rs") || name == "Cargo.toml" {
                let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                into.insert(key, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut into = BTreeMap::new();
    walk(&root(), &root(), &mut into);
    assert!(into.len() > 30, "the tidy test found only {} files below {}", into.len(), root().display());
    into
}

type Tree = BTreeMap<String, String>;

/// The `hearth-*` packages that a manifest's own dependencies name (development ones are free: tests may climb).
fn hearth_dependencies(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[dependencies]" || section == "[build-dependencies]" {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            if name == "hearth" || name.starts_with("hearth-") {
                found.push(name.to_owned());
            }
        }
    }
    found
}

fn package_name(manifest: &str) -> Option<&str> {
    let package = manifest.split("[package]").nth(1)?;
    package.lines().find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'))
}

fn broken_floors(tree: &Tree) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
    let mut broken = Vec::new();
    for (path, manifest) in tree.iter().filter(|(p, _)| p.ends_with("Cargo.toml")) {
        let Some(name) = package_name(manifest) else { continue };
        let Some(own) = floor(name) else {
            broken.push(format!("{path}: {name} stands on no floor; give it one in the tidy test"));
            continue;
        };
        for dependency in hearth_dependencies(manifest) {
            match floor(&dependency) {
                Some(below) if below < own => {}
                Some(other) => {
                    broken.push(format!("{path}: {name} (floor {own}) must not use {dependency} (floor {other})"));
                }
                None => broken.push(format!("{path}: {dependency} stands on no floor")),
            }
        }
    }
    broken
}

/// A line without its comment and without what stands in quotes.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if !quoted => code.push(c),
            _ => {}
        }
    }
    code
}

fn worldly_machines(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in tree.iter().filter(|(p, _)| p.contains("/src/machine/")) {
        for (i, line) in text.lines().enumerate() {
            let code = code_of(line);
            for (word, instead) in FORBIDDEN_IN_MACHINES {
                if code.contains(word) {
                    broken.push(format!("{path}:{}: a machine says `{}`; {instead}", i + 1, word.trim()));
                }
            }
        }
    }
    broken
}

fn unexpected_unsafe(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in tree.iter().filter(|(p, _)| p.ends_with(".rs")) {
        if MAY_BE_UNSAFE.contains(&path.as_str()) {
            continue;
        }
        for (i, line) in text.lines().enumerate() {
            let code = code_of(line);
            let lifts = code.trim_start().starts_with('#')
                && code.contains("unsafe_code")
                && (code.contains("allow") || code.contains("expect"));
            let says = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            if lifts || says {
                broken.push(format!("{path}:{}: only {MAY_BE_UNSAFE:?} may be unsafe", i + 1));
            }
        }
    }
    broken
}

/// Every crate takes part in the workspace's lints.
fn unlinted(tree: &Tree) -> Vec<String> {
    tree.iter()
        .filter(|(path, text)| path.ends_with("Cargo.toml") && text.contains("[package]"))
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| format!("{path}: add `[lints] workspace = true`"))
        .collect()
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn floors_hold() {
    assert_none(&broken_floors(&sources()));
}

#[test]
fn machines_do_not_name_the_world() {
    let tree = sources();
    for name in ["master", "worker", "driver", "executor"] {
        assert!(tree.keys().any(|p| p.starts_with(&format!("{name}/src/machine/"))), "no machine found in {name}");
    }
    assert_none(&worldly_machines(&tree));
}

#[test]
fn unsafe_code_stays_where_it_is_expected() {
    assert_none(&unexpected_unsafe(&sources()));
}

#[test]
fn every_crate_is_linted() {
    assert_none(&unlinted(&sources()));
}

/// A tree of one file, broken on purpose.
fn tree(path: &str, text: &str) -> Tree {
    BTreeMap::from([(path.to_owned(), text.to_owned())])
}

#[test]
fn a_broken_floor_is_found() {
    let manifest = |dependency: &str| {
        tree("master/Cargo.toml", &format!("[package]\nname = \"hearth-master\"\n[dependencies]\n{dependency}\n"))
    };
    assert_eq!(broken_floors(&manifest("hearth-core.workspace = true")), [""; 0]);
    let beside = broken_floors(&manifest("hearth-worker = { path = \"../worker\" }"));
    assert_eq!(beside, ["master/Cargo.toml: hearth-master (floor 3) must not use hearth-worker (floor 3)"]);
    assert_eq!(broken_floors(&manifest("hearth.workspace = true")).len(), 1);
    assert_eq!(broken_floors(&manifest("hearth-new.workspace = true")).len(), 1);
    assert_eq!(broken_floors(&tree("new/Cargo.toml", "[package]\nname = \"hearth-new\"\n")).len(), 1);
}

#[test]
fn a_worldly_machine_is_found() {
    let machine = |line: &str| worldly_machines(&tree("master/src/machine/mod.rs", line));
    for bad in
        ["use tokio::time;", "let t = Instant::now();", "x: HashMap<A, B>,", "async fn f() {}", "std::env::var(a)"]
    {
        assert_eq!(machine(bad).len(), 1, "{bad}");
    }
    for good in ["// tokio is not here", "let text = \"tokio\";", "let now = Now(d);"] {
        assert_eq!(machine(good), [""; 0], "{good}");
    }
}

#[test]
fn unexpected_unsafe_is_found() {
    let file = |line: &str| unexpected_unsafe(&tree("core/src/lib.rs", line)).len();
    assert_eq!(file("unsafe { f() }"), 1);
    assert_eq!(file("#![allow(unsafe_code)]"), 1);
    assert_eq!(file("// unsafe"), 0);
    assert_eq!(file("let not_unsafe_at_all = 1;"), 0);
}
