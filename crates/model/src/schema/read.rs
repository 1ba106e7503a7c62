//! Reading a schema from its JSON.

use serde_json::{Map, Value};

use super::{BadSchema, Conditional, Dependency, Format, Node, Others, Pattern, Type};

pub(super) fn read(json: &Value) -> Result<Node, BadSchema> {
    let object = match json {
        Value::Object(object) => object,
        Value::Bool(true) => return Ok(Node::default()),
        _ => return Err(bad("expected an object", json)),
    };
    let mut node = Node::default();
    for (keyword, value) in object {
        read_keyword(&mut node, keyword, value, object)
            .map_err(|BadSchema(why)| BadSchema(format!("{keyword}: {why}")))?;
    }
    Ok(node)
}

fn read_keyword(
    node: &mut Node,
    keyword: &str,
    value: &Value,
    siblings: &Map<String, Value>,
) -> Result<(), BadSchema> {
    match keyword {
        "type" => node.types = read_types(value)?,
        "properties" => node.properties = named(value)?,
        "required" => node.required = texts(value)?,
        "patternProperties" => {
            for (pattern, schema) in named(value)? {
                node.patterns.push((Pattern::read(&pattern)?, schema));
            }
        }
        "additionalProperties" => {
            node.others = match value {
                Value::Bool(true) => Others::Allowed,
                Value::Bool(false) => Others::Forbidden,
                schema => Others::Checked(Box::new(read(schema)?)),
            }
        }
        "dependencies" => node.dependencies = read_dependencies(value)?,
        "minProperties" => node.min_properties = Some(count(value)?),
        "maxProperties" => node.max_properties = Some(count(value)?),
        "items" => node.items = Some(Box::new(read(value)?)),
        "minItems" => node.min_items = Some(count(value)?),
        "maxItems" => node.max_items = Some(count(value)?),
        "uniqueItems" => node.unique_items = value == &Value::Bool(true),
        "minLength" => node.min_length = Some(count(value)?),
        "maxLength" => node.max_length = Some(count(value)?),
        "pattern" => node.pattern = Some(Pattern::read(text(value)?)?),
        "format" => {
            node.format = match text(value)? {
                "ipv4" => Some(Format::Ipv4),
                "ipv6" => Some(Format::Ipv6),
                _ => None,
            }
        }
        "minimum" => node.minimum = Some(number(value)?),
        "maximum" => node.maximum = Some(number(value)?),
        "exclusiveMinimum" => node.exclusive_minimum = Some(number(value)?),
        "exclusiveMaximum" => node.exclusive_maximum = Some(number(value)?),
        "enum" => node.choice = Some(list(value)?.clone()),
        "const" => node.constant = Some(value.clone()),
        "default" => node.default = Some(value.clone()),
        "allOf" => node.all_of = schemas(value)?,
        "anyOf" => node.any_of = schemas(value)?,
        "oneOf" => node.one_of = schemas(value)?,
        "not" => node.not = Some(Box::new(read(value)?)),
        "if" => {
            let branch = |keyword| siblings.get(keyword).map(read).transpose();
            node.conditional = Some(Box::new(Conditional {
                condition: read(value)?,
                then: branch("then")?,
                otherwise: branch("else")?,
            }));
        }
        // The branches are read with their condition; the others say something to people.
        "then" | "else" | "title" | "description" | "examples" | "encrypt_fields" | "$comment"
        | "$schema" => {}
        _ => return Err(BadSchema("this keyword is not known".to_owned())),
    }
    Ok(())
}

fn read_types(value: &Value) -> Result<Vec<Type>, BadSchema> {
    let of = |name: &Value| {
        Ok(match text(name)? {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::String,
            "array" => Type::Array,
            "object" => Type::Object,
            _ => return Err(bad("this type is not known", name)),
        })
    };
    match value {
        Value::Array(names) => names.iter().map(of).collect(),
        name => Ok(vec![of(name)?]),
    }
}

fn read_dependencies(value: &Value) -> Result<Vec<(String, Dependency)>, BadSchema> {
    let object = object(value)?.iter();
    let read = |(name, value): (&String, &Value)| {
        let dependency = match value {
            Value::Array(_) => Dependency::Properties(texts(value)?),
            schema => Dependency::Schema(Box::new(read(schema)?)),
        };
        Ok((name.clone(), dependency))
    };
    object.map(read).collect()
}

fn named(value: &Value) -> Result<Vec<(String, Node)>, BadSchema> {
    let read = |(name, schema): (&String, &Value)| {
        let schema = read(schema).map_err(|BadSchema(why)| BadSchema(format!("{name}: {why}")))?;
        Ok((name.clone(), schema))
    };
    object(value)?.iter().map(read).collect()
}

fn schemas(value: &Value) -> Result<Vec<Node>, BadSchema> {
    list(value)?.iter().map(read).collect()
}

fn texts(value: &Value) -> Result<Vec<String>, BadSchema> {
    let items = list(value)?.iter();
    items.map(|item| Ok(text(item)?.to_owned())).collect()
}

fn object(value: &Value) -> Result<&Map<String, Value>, BadSchema> {
    value
        .as_object()
        .ok_or_else(|| bad("expected an object", value))
}

fn list(value: &Value) -> Result<&Vec<Value>, BadSchema> {
    value
        .as_array()
        .ok_or_else(|| bad("expected an array", value))
}

fn text(value: &Value) -> Result<&str, BadSchema> {
    value
        .as_str()
        .ok_or_else(|| bad("expected a string", value))
}

fn count(value: &Value) -> Result<u64, BadSchema> {
    value.as_u64().ok_or_else(|| bad("expected a count", value))
}

fn number(value: &Value) -> Result<f64, BadSchema> {
    value
        .as_f64()
        .ok_or_else(|| bad("expected a number", value))
}

fn bad(why: &str, value: &Value) -> BadSchema {
    BadSchema(format!("{why}, got {value}"))
}
