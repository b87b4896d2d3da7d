// An OpenID provider for the tests, as Entra is one: node dev/openid_provider.mjs PORT CONSOLE_ORIGIN PEOPLE
// PEOPLE is JSON: by login name, `claims` of the person, and `bend`, by which claims of the ID token are wrong: numbers
// are added to what is there. A provider with such a fault signs it with its own key.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";
import { SignJWT, decodeJwt } from "jose";

const [port, origin, people] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4])];
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: "jwk" }), kid: "key-1", use: "sig", alg: "RS256" };
const client = (id) => ({
  client_id: id,
  client_secret: `${id}:no secret/only a test`,
  redirect_uris: [`${origin}/console/callback/${id}`],
  post_logout_redirect_uris: [`${origin}/console`],
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client("operators"), client("customers")],
  jwks: { keys: [jwk] },
  claims: { openid: ["sub", "roles", "tid", "oid"], profile: ["name"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ["test"] },
  ttl: { Interaction: 600, Session: 3600, Grant: 3600, IdToken: 3600, AccessToken: 3600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id]?.claims }) }),
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile");
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route !== "token" || !ctx.body?.id_token) return;
  const claims = decodeJwt(ctx.body.id_token);
  const bend = people[claims.sub]?.bend;
  if (!bend) return;
  for (const [name, value] of Object.entries(bend)) {
    if (value === null) delete claims[name];
    else claims[name] = typeof value === "number" ? claims[name] + value : value;
  }
  ctx.body = { ...ctx.body, id_token: await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "key-1" }).sign(privateKey) };
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
