//! Rule `size`: files and functions stay small enough to be read in one go.
//!
//! Tests are exempt, wherever they stand, and so is generated code.

use std::ops::RangeInclusive;
use std::path::Path;

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use super::Finding;

const RULE: &str = "size";

/// Lines of one file, without its tests.
const FILE_LINES: usize = 500;

/// Lines of one function, from its `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Finds what is too long in a Rust file.
pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    if is_exempt(file) {
        return Vec::new();
    }
    let finding = |line, message| Finding {
        file: file.to_owned(),
        line,
        rule: RULE,
        message,
    };
    let parsed = match syn::parse_file(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            return vec![finding(
                error.span().start().line,
                format!("does not parse: {error}"),
            )];
        }
    };
    let mut survey = Survey::default();
    survey.visit_file(&parsed);

    let mut findings = Vec::new();
    let tests: usize = survey.tests.iter().map(|lines| lines.clone().count()).sum();
    let length = text.lines().count().saturating_sub(tests);
    if length > FILE_LINES {
        let message = format!(
            "{length} lines without tests, more than {FILE_LINES}: split it along a concept"
        );
        findings.push(finding(FILE_LINES + 1, message));
    }
    for Function { name, lines } in survey.functions {
        let length = lines.clone().count();
        if length > FUNCTION_LINES {
            let message = format!(
                "function `{name}` has {length} lines, more than {FUNCTION_LINES}: give its \
                 steps names of their own"
            );
            findings.push(finding(*lines.start(), message));
        }
    }
    findings
}

/// Whether the whole file is tests or was generated.
fn is_exempt(file: &Path) -> bool {
    let is = |name: &str| matches!(name, "tests" | "tests.rs" | "benches" | "generated");
    file.iter()
        .any(|component| component.to_str().is_some_and(is))
}

/// What matters of one file.
#[derive(Default)]
struct Survey {
    /// Where items for tests stand.
    tests: Vec<RangeInclusive<usize>>,
    functions: Vec<Function>,
}

struct Function {
    name: String,
    lines: RangeInclusive<usize>,
}

impl Survey {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = signature.span().start().line..=block.span().end().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            lines,
        });
    }
}

impl<'ast> Visit<'ast> for Survey {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if attributes(item).iter().any(is_for_tests) {
            let span = item.span();
            self.tests.push(span.start().line..=span.end().line);
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// The attributes of those kinds of items that tests consist of.
fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether this is `#[test]`, `#[tokio::test]` or a `#[cfg(…)]` that asks for
/// tests.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg") {
        return attribute
            .parse_args()
            .is_ok_and(|condition| asks_for_tests(&condition));
    }
    path.segments
        .last()
        .is_some_and(|last| last.ident == "test")
}

fn asks_for_tests(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        // `any` and `not` can hold without tests.
        syn::Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(syn::punctuated::Punctuated::<_, syn::Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(asks_for_tests)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that is this many lines long.
    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    fn found(file: &str, text: &str) -> Vec<String> {
        check(Path::new(file), text)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_long_function_is_found_where_it_begins() {
        let long = format!("/// What it does.\n#[inline]\n{}", function(71));
        let expected = "a.rs:3: [size] function `f` has 71 lines, more than 70: give its steps \
                        names of their own";
        assert_eq!(found("a.rs", &long), [expected]);
        assert_eq!(found("a.rs", &function(70)), [""; 0]);
    }

    #[test]
    fn methods_and_functions_in_functions_count_too() {
        let method = format!("impl A {{\n{}}}\n", function(71));
        let default = format!("trait A {{\n{}}}\n", function(71));
        let inner = format!("fn outer() {{\n{}}}\n", function(71));
        assert_eq!(found("a.rs", &method).len(), 1);
        assert_eq!(found("a.rs", &default).len(), 1);
        assert_eq!(found("a.rs", &inner).len(), 2);
    }

    #[test]
    fn a_long_file_is_found_where_it_gets_too_long() {
        let expected =
            "a.rs:501: [size] 501 lines without tests, more than 500: split it along a concept";
        assert_eq!(
            found("a.rs", &"const _: () = ();\n".repeat(501)),
            [expected]
        );
        assert_eq!(found("a.rs", &"const _: () = ();\n".repeat(500)), [""; 0]);
    }

    #[test]
    fn tests_count_neither_as_lines_nor_as_functions() {
        let production = "const _: () = ();\n".repeat(490);
        let headings = [
            "#[cfg(test)]\nmod tests",
            "#[cfg(all(test, unix))]\nmod tests",
            "/// Helps.\n#[cfg(test)]\nimpl A",
        ];
        for heading in headings {
            let text = format!("{production}{heading} {{\n{}}}\n", function(100));
            assert_eq!(found("a.rs", &text), [""; 0], "{heading}");
        }
        let text = format!("{production}#[tokio::test]\nasync {}", function(100));
        assert_eq!(found("a.rs", &text), [""; 0]);
        let text = format!("#[cfg(not(test))]\n{}", function(100));
        assert_eq!(found("a.rs", &text).len(), 1);
    }

    #[test]
    fn files_of_tests_and_generated_ones_are_exempt() {
        let long = function(600);
        for file in [
            "a/tests.rs",
            "a/tests/b.rs",
            "a/src/generated/b.rs",
            "a/benches/b.rs",
        ] {
            assert_eq!(found(file, &long), [""; 0], "{file}");
        }
        assert_eq!(found("a/src/latest.rs", &long).len(), 2);
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_confuse() {
        let text = format!("fn a() {{ let _ = \"{{\"; /* {{ */ }}\n{}", function(70));
        assert_eq!(found("a.rs", &text), [""; 0]);
    }

    #[test]
    fn what_is_not_rust_is_found() {
        assert!(found("a.rs", "fn\n(")[0].contains("does not parse"));
    }
}
