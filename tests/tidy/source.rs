//! The product's source files as the rules need them: without comments, texts and tests, lines kept in place.

use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Below the repository, as in `src/net/mod.rs`.
    pub path: String,
    pub text: String,
    /// `text` without comments, the inside of literals, and modules that only tests have.
    pub product: String,
}

/// All Rust files below `directory`, in order of their names.
pub fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(directory), &mut paths);
    paths.sort();
    let texts: Vec<(PathBuf, String)> =
        paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).expect("readable source"))).collect();
    let only_for_tests: Vec<PathBuf> = texts.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let read = |(path, text): (PathBuf, String)| {
        let code = without_comments_and_texts(&text);
        let is_test = only_for_tests.iter().any(|test| path == *test || path.starts_with(test.with_extension("")));
        let product = if is_test { String::new() } else { without_tests(&code) };
        let path = path.strip_prefix(root).expect("below the root").display().to_string();
        Source { path, text, product }
    };
    texts.into_iter().map(read).collect()
}

/// The files of the modules that `#[cfg(test)]` stands before.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let directory = file.parent().expect("a directory");
    let owns_its_directory = file.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs" || name == "main.rs");
    let below = if owns_its_directory { directory.to_owned() } else { file.with_extension("") };
    let mut found = Vec::new();
    let mut is_test = false;
    let mut at: Option<PathBuf> = None;
    for line in text.lines().map(str::trim) {
        if line == "#[cfg(test)]" {
            is_test = true;
        } else if let Some(path) = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            at = Some(directory.join(path));
        } else if !line.starts_with("#[") {
            let name = line.trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            if let Some(name) = name.filter(|_| is_test) {
                found.push(at.clone().unwrap_or_else(|| below.join(format!("{name}.rs"))));
                found.push(below.join(name).join("mod.rs"));
            }
            is_test = false;
            at = None;
        }
    }
    found
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("readable directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

impl Source {
    /// The path inside `src`, as in `dialect/kafka/mod.rs`.
    pub fn inside(&self) -> &str {
        self.path.strip_prefix("src/").unwrap_or(&self.path)
    }

    /// Written by a program: its form is that program's.
    pub fn is_generated(&self) -> bool {
        self.text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.ends_with("do not edit."))
    }

    /// Every identifier of the product's code with its line number.
    pub fn identifiers(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.product.lines().enumerate();
        lines.flat_map(|(number, line)| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            words.map(move |word| (number + 1, word))
        })
    }

    /// Functions of the product by name with their length in lines. Relies on rustfmt's layout.
    pub fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.product.lines().collect();
        let mut found = Vec::new();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let Some(name) = function_name(line.trim_start()) else { continue };
            let end_line = format!("{}}}", &line[..indent]);
            let body = lines[start..].iter();
            let end = body.take_while(|line| **line != end_line).count();
            let declared_only = lines[start..start + end]
                .iter()
                .any(|line| line.len() - line.trim_start().len() == indent && line.ends_with(';'));
            let on_one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
            if !on_one_line && !declared_only {
                found.push((name, end + 1));
            }
        }
        found
    }
}

fn function_name(line: &str) -> Option<String> {
    let mut rest = line;
    for prefix in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// The words of an identifier: `BatchHeader` and `batch_header` are both `batch`, `header`.
pub fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last_was_lower = false;
    for character in identifier.chars() {
        let starts_a_word = character == '_' || (character.is_uppercase() && last_was_lower);
        if starts_a_word {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| character != '_') {
            word.extend(character.to_lowercase());
        }
        last_was_lower = character.is_lowercase() || character.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut skip_until: Option<String> = None;
    let mut attribute_seen = false;
    for line in code.lines() {
        if let Some(end) = &skip_until {
            if line == end {
                skip_until = None;
            }
            kept.push('\n');
            continue;
        }
        let trimmed = line.trim_start();
        if trimmed == "#[cfg(test)]" {
            attribute_seen = true;
        } else if attribute_seen && !trimmed.starts_with("#[") {
            attribute_seen = false;
            if trimmed.ends_with('{') {
                skip_until = Some(format!("{}}}", &line[..line.len() - trimmed.len()]));
            }
            kept.push('\n');
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Blanks comments and the inside of literals; line breaks stay.
fn without_comments_and_texts(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let end = match skipped(&characters, at) {
            Some(end) => end,
            None => {
                code.push(characters[at]);
                at += 1;
                continue;
            }
        };
        let breaks = characters[at..end.min(characters.len())].iter().filter(|c| **c == '\n');
        code.extend(breaks);
        at = end;
    }
    let trimmed: Vec<&str> = code.lines().map(str::trim_end).collect();
    trimmed.join("\n") + "\n"
}

/// Where the comment or literal that begins at `at` ends, if one does.
fn skipped(characters: &[char], at: usize) -> Option<usize> {
    let next = characters.get(at + 1).copied();
    let inside_a_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    match characters[at] {
        '/' if next == Some('/') => Some(find(characters, at, |c| c[0] == '\n')),
        '/' if next == Some('*') => Some(block_comment(characters, at)),
        '"' => Some(text_end(characters, at + 1)),
        'b' if next == Some('"') && !inside_a_word => Some(text_end(characters, at + 2)),
        'r' if !inside_a_word => raw_text(characters, at + 1),
        'b' if next == Some('r') && !inside_a_word => raw_text(characters, at + 2),
        '\'' => character_literal(characters, at),
        _ => None,
    }
}

fn find(characters: &[char], from: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (from..characters.len()).find(|at| stop(&characters[*at..])).unwrap_or(characters.len())
}

fn block_comment(characters: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut at = at;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn text_end(characters: &[char], mut at: usize) -> usize {
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn raw_text(characters: &[char], at: usize) -> Option<usize> {
    let hashes = characters[at..].iter().take_while(|c| **c == '#').count();
    if characters.get(at + hashes) != Some(&'"') {
        return None;
    }
    let mut end = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    Some(find(characters, at + hashes + 1, |rest| rest.starts_with(&end)) + end.len())
}

fn character_literal(characters: &[char], at: usize) -> Option<usize> {
    if characters.get(at + 1) == Some(&'\\') {
        let close = find(characters, at + 3, |rest| rest[0] == '\'');
        return Some(close + 1);
    }
    // Otherwise it is a lifetime.
    (characters.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

#[test]
fn comments_texts_and_tests_are_not_code() {
    let text = "let a = \"x // y\"; // kafka\n/* amqp /* redis */ */ let b = r#\"q\"uote\"#; let c: &'a str = 'x';\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\nfn f() {}\n";
    let code = without_comments_and_texts(text);
    for gone in ["kafka", "amqp", "redis", "quote", "x //"] {
        assert!(!code.contains(gone), "{gone} in {code}");
    }
    assert!(code.contains("&'a str"), "{code}");
    let product = without_tests(&code);
    assert!(product.contains("fn f()") && !product.contains("fn t()"), "{product}");
    assert_eq!(words("BatchHeaderV2_x"), ["batch", "header", "v2", "x"]);
}
