//! Signs in to registries with Docker's token authentication or Basic (RFC 7617).
//!
//! The handshake, step by step. `client::handshake` sends the requests to the registry, [`sign_in`] decides which
//! credentials they carry, and `token_service` requests tokens.
//!
//! 1. The first request carries no credentials. If credentials for the registry exist, the other requests wait for its
//!    response, because each would otherwise be sent twice.
//! 2. The registry responds 401 with `WWW-Authenticate` ([`challenge`]): Basic, Bearer, or both, in which case Bearer
//!    is preferred. A 403 to a write without credentials is treated like a 401. If the header is missing, `GET /v2/` is
//!    sent once per registry to get it.
//! 3. Credentials are looked up ([`credentials`]) once per repository: first those that the caller passed, then
//!    configuration files and credential helpers. Without credentials, requests are anonymous; a source that fails is
//!    an error.
//! 4. Basic: user name and password are sent with each request, only to the origin of the registry's API. The first
//!    request that carries them goes out by itself. If it is refused, they are not tried again in this run, as repeated
//!    attempts may lock an account.
//! 5. Bearer: the realm must pass the rules in `realm`, or no credentials are sent. Then a token is requested, without
//!    following redirects:
//!    - with user name and password: `GET realm` with Basic;
//!    - with an identity token: `POST realm` as a form with `grant_type=refresh_token`, or, if the service responds 404
//!      or 405, `GET realm` with the token as the password of user `<token>`;
//!    - with a registry token from the configuration: no request, that token is used directly;
//!    - without credentials: `GET realm`.
//! 6. The token request names the scopes that the request needs and those in the challenge, except `*` ([`scopes`]). A
//!    mount needs two repositories and so one token for both. If the service refuses that, this and all later token
//!    requests name only the request's own repository.
//! 7. The request is sent again with `Authorization: Bearer TOKEN`. Requests with the same or narrower scopes share the
//!    token (`token_cache`), which is renewed shortly before it expires. A push announces its repositories: once the
//!    credentials are accepted, one token for all of them is requested and used for the scopes that it grants
//!    (`run_token`).
//! 8. A 401 to a request with a token drops that token: it may have expired or been revoked. The new challenge's scopes
//!    are added, and a new token is tried once. A 403 with `error="insufficient_scope"` is handled the same way; for a
//!    deletion, which some registries allow only with `*`, the new token may request that. A blob upload, whose body
//!    cannot be repeated, starts over with the new token.
//! 9. If the token service does not exist or does not work (no connection, a redirect, 404, 405, 410, 5xx, no token in
//!    the response), the registry also offers Basic, and there is a password, step 4 applies from then on. A refusal, a
//!    bad certificate or a realm that breaks the rules never causes this fallback.
//! 10. A request that is still refused ends in an error about its credentials (`denials`): they are missing, wrong, or
//!     valid but insufficient. Credentials that are refused before any were accepted are wrong for the whole run.
//! 11. A redirect drops `Authorization` on any change of origin. If the other origin responds 401 and issues anonymous
//!     tokens, an anonymous token is requested for it ([`anonymous_tokens`]), and the request continues from that hop.

pub(crate) mod anonymous_tokens;
pub(crate) mod challenge;
pub(crate) mod credentials;
mod denials;
mod realm;
mod run_token;
pub(crate) mod scopes;
pub(crate) mod sign_in;
mod sign_in_state;
mod token;
mod token_cache;
mod token_service;
