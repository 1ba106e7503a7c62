//! Owned copies of all messages, so that what was sent, what the crate decodes
//! and what the independent reader sees can be compared as values.

use outrigger_a6::{
    ConfToken, Decode, DecodeError, EncodeError, Encoder, Entries, Entry, Method, RpcType, error,
    extra_info, http_req_call, http_resp_call, prepare_conf,
};

pub type Bytes = Vec<u8>;
pub type Pairs = Vec<(Bytes, Option<Bytes>)>;

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    Error {
        code: u8,
    },
    PrepareConfRequest {
        conf: Pairs,
        key: Bytes,
    },
    PrepareConfResponse {
        conf_token: u32,
    },
    HttpReqCallRequest(HttpReqCallRequest),
    HttpReqCallResponse {
        id: u32,
        action: Action,
    },
    ExtraInfoRequest(Info),
    ExtraInfoResponse {
        result: Option<Bytes>,
    },
    HttpRespCallRequest {
        id: u32,
        status: u16,
        headers: Pairs,
        conf_token: u32,
    },
    HttpRespCallResponse {
        id: u32,
        status: u16,
        headers: Pairs,
        body: Option<Bytes>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct HttpReqCallRequest {
    pub id: u32,
    pub src_ip: Bytes,
    pub method: u8,
    pub path: Bytes,
    pub args: Pairs,
    pub headers: Pairs,
    pub conf_token: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    None,
    Stop {
        status: u16,
        headers: Pairs,
        body: Bytes,
    },
    Rewrite(Rewrite),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rewrite {
    pub path: Option<Bytes>,
    pub headers: Pairs,
    pub args: Pairs,
    pub resp_headers: Pairs,
    pub body: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Info {
    Var(Bytes),
    ReqBody,
    RespBody,
}

/// Which message a payload is to be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Error,
    PrepareConfRequest,
    PrepareConfResponse,
    HttpReqCallRequest,
    HttpReqCallResponse,
    ExtraInfoRequest,
    ExtraInfoResponse,
    HttpRespCallRequest,
    HttpRespCallResponse,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::Error,
        Self::PrepareConfRequest,
        Self::PrepareConfResponse,
        Self::HttpReqCallRequest,
        Self::HttpReqCallResponse,
        Self::ExtraInfoRequest,
        Self::ExtraInfoResponse,
        Self::HttpRespCallRequest,
        Self::HttpRespCallResponse,
    ];

    pub fn ty(self) -> RpcType {
        match self {
            Self::Error => RpcType::Error,
            Self::PrepareConfRequest | Self::PrepareConfResponse => RpcType::PrepareConf,
            Self::HttpReqCallRequest | Self::HttpReqCallResponse => RpcType::HttpReqCall,
            Self::ExtraInfoRequest | Self::ExtraInfoResponse => RpcType::ExtraInfo,
            Self::HttpRespCallRequest | Self::HttpRespCallResponse => RpcType::HttpRespCall,
        }
    }

    /// What a payload of this type is when the host, or else the runner, sent it.
    pub fn sent(ty: RpcType, by_host: bool) -> Self {
        match (ty, by_host) {
            (RpcType::Error, _) => Self::Error,
            (RpcType::PrepareConf, true) => Self::PrepareConfRequest,
            (RpcType::PrepareConf, false) => Self::PrepareConfResponse,
            (RpcType::HttpReqCall, true) => Self::HttpReqCallRequest,
            (RpcType::HttpReqCall, false) => Self::HttpReqCallResponse,
            (RpcType::ExtraInfo, true) => Self::ExtraInfoResponse,
            (RpcType::ExtraInfo, false) => Self::ExtraInfoRequest,
            (RpcType::HttpRespCall, true) => Self::HttpRespCallRequest,
            (RpcType::HttpRespCall, false) => Self::HttpRespCallResponse,
        }
    }
}

impl Message {
    /// Decodes by the crate.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match kind {
            Kind::Error => Self::Error {
                code: error::Response::decode(payload)?.code.to_u8(),
            },
            Kind::PrepareConfRequest => {
                let m = prepare_conf::Request::decode(payload)?;
                Self::PrepareConfRequest {
                    conf: pairs(m.conf),
                    key: m.key.to_vec(),
                }
            }
            Kind::PrepareConfResponse => {
                let m = prepare_conf::Response::decode(payload)?;
                Self::PrepareConfResponse {
                    conf_token: m.conf_token.0,
                }
            }
            Kind::HttpReqCallRequest => {
                let m = http_req_call::Request::decode(payload)?;
                Self::HttpReqCallRequest(HttpReqCallRequest {
                    id: m.id,
                    src_ip: m.src_ip.to_vec(),
                    method: m.method.to_u8(),
                    path: m.path.to_vec(),
                    args: pairs(m.args),
                    headers: pairs(m.headers),
                    conf_token: m.conf_token.0,
                })
            }
            Kind::HttpReqCallResponse => {
                let m = http_req_call::Response::decode(payload)?;
                Self::HttpReqCallResponse {
                    id: m.id,
                    action: Action::of(m.action),
                }
            }
            Kind::ExtraInfoRequest => {
                let m = extra_info::Request::decode(payload)?;
                Self::ExtraInfoRequest(match m.0 {
                    extra_info::Info::Var(name) => Info::Var(name.to_vec()),
                    extra_info::Info::ReqBody => Info::ReqBody,
                    extra_info::Info::RespBody => Info::RespBody,
                })
            }
            Kind::ExtraInfoResponse => {
                let m = extra_info::Response::decode(payload)?;
                Self::ExtraInfoResponse {
                    result: m.result.map(<[u8]>::to_vec),
                }
            }
            Kind::HttpRespCallRequest => {
                let m = http_resp_call::Request::decode(payload)?;
                Self::HttpRespCallRequest {
                    id: m.id,
                    status: m.status,
                    headers: pairs(m.headers),
                    conf_token: m.conf_token.0,
                }
            }
            Kind::HttpRespCallResponse => {
                let m = http_resp_call::Response::decode(payload)?;
                Self::HttpRespCallResponse {
                    id: m.id,
                    status: m.status,
                    headers: pairs(m.headers),
                    body: m.body.map(<[u8]>::to_vec),
                }
            }
        })
    }

    /// Encodes by the crate; the whole frame.
    pub fn encode(&self, encoder: &mut Encoder) -> Result<Vec<u8>, EncodeError> {
        let frame = match self {
            Self::Error { code } => encoder.encode(&error::Response {
                code: error::Code::from_u8(*code),
            }),
            Self::PrepareConfRequest { conf, key } => {
                let conf = &entries(conf);
                encoder.encode(&prepare_conf::Request {
                    conf: conf.into(),
                    key,
                })
            }
            Self::PrepareConfResponse { conf_token } => encoder.encode(&prepare_conf::Response {
                conf_token: ConfToken(*conf_token),
            }),
            Self::HttpReqCallRequest(m) => encoder.encode(&http_req_call::Request {
                id: m.id,
                src_ip: &m.src_ip,
                method: Method::from_u8(m.method).expect("a known method"),
                path: &m.path,
                args: (&entries(&m.args)).into(),
                headers: (&entries(&m.headers)).into(),
                conf_token: ConfToken(m.conf_token),
            }),
            Self::HttpReqCallResponse { id, action } => action.encode(*id, encoder),
            Self::ExtraInfoRequest(info) => encoder.encode(&extra_info::Request(match info {
                Info::Var(name) => extra_info::Info::Var(name),
                Info::ReqBody => extra_info::Info::ReqBody,
                Info::RespBody => extra_info::Info::RespBody,
            })),
            Self::ExtraInfoResponse { result } => encoder.encode(&extra_info::Response {
                result: result.as_deref(),
            }),
            Self::HttpRespCallRequest {
                id,
                status,
                headers,
                conf_token,
            } => encoder.encode(&http_resp_call::Request {
                id: *id,
                status: *status,
                headers: (&entries(headers)).into(),
                conf_token: ConfToken(*conf_token),
            }),
            Self::HttpRespCallResponse {
                id,
                status,
                headers,
                body,
            } => encoder.encode(&http_resp_call::Response {
                id: *id,
                status: *status,
                headers: (&entries(headers)).into(),
                body: body.as_deref(),
            }),
        };
        frame.map(<[u8]>::to_vec)
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Error { .. } => Kind::Error,
            Self::PrepareConfRequest { .. } => Kind::PrepareConfRequest,
            Self::PrepareConfResponse { .. } => Kind::PrepareConfResponse,
            Self::HttpReqCallRequest(_) => Kind::HttpReqCallRequest,
            Self::HttpReqCallResponse { .. } => Kind::HttpReqCallResponse,
            Self::ExtraInfoRequest(_) => Kind::ExtraInfoRequest,
            Self::ExtraInfoResponse { .. } => Kind::ExtraInfoResponse,
            Self::HttpRespCallRequest { .. } => Kind::HttpRespCallRequest,
            Self::HttpRespCallResponse { .. } => Kind::HttpRespCallResponse,
        }
    }
}

impl Action {
    fn of(action: Option<http_req_call::Action<'_>>) -> Self {
        match action {
            None => Self::None,
            Some(http_req_call::Action::Stop(stop)) => Self::Stop {
                status: stop.status,
                headers: pairs(stop.headers),
                body: stop.body.to_vec(),
            },
            Some(http_req_call::Action::Rewrite(rewrite)) => Self::Rewrite(Rewrite {
                path: rewrite.path.map(<[u8]>::to_vec),
                headers: pairs(rewrite.headers),
                args: pairs(rewrite.args),
                resp_headers: pairs(rewrite.resp_headers),
                body: rewrite.body.map(<[u8]>::to_vec),
            }),
        }
    }

    fn encode<'e>(&self, id: u32, encoder: &'e mut Encoder) -> Result<&'e [u8], EncodeError> {
        match self {
            Self::None => encoder.encode(&http_req_call::Response { id, action: None }),
            Self::Stop {
                status,
                headers,
                body,
            } => {
                let headers = &entries(headers);
                let stop = http_req_call::Stop {
                    status: *status,
                    headers: headers.into(),
                    body,
                };
                let action = Some(http_req_call::Action::Stop(stop));
                encoder.encode(&http_req_call::Response { id, action })
            }
            Self::Rewrite(rewrite) => {
                let lists = [&rewrite.headers, &rewrite.args, &rewrite.resp_headers];
                let [headers, args, resp_headers] = &lists.map(entries);
                let rewrite = http_req_call::Rewrite {
                    path: rewrite.path.as_deref(),
                    headers: headers.into(),
                    args: args.into(),
                    resp_headers: resp_headers.into(),
                    body: rewrite.body.as_deref(),
                };
                let action = Some(http_req_call::Action::Rewrite(rewrite));
                encoder.encode(&http_req_call::Response { id, action })
            }
        }
    }
}

fn pairs(entries: Entries<'_>) -> Pairs {
    entries
        .iter()
        .map(|e| (e.name.to_vec(), e.value.map(<[u8]>::to_vec)))
        .collect()
}

fn entries(pairs: &Pairs) -> Vec<Entry<'_>> {
    pairs
        .iter()
        .map(|(name, value)| Entry {
            name,
            value: value.as_deref(),
        })
        .collect()
}
