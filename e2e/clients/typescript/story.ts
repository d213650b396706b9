// A program on the client that openapi-typescript makes. The compiler holds every path, parameter, body and answer in it to
// the document; what must not compile says so.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

type Code = components["schemas"]["Code"];
type Problem = components["schemas"]["Problem"];

interface Settings {
  issuer: string;
  api: string;
  email: string;
  password: string;
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as Settings;
let steps = 0;

async function step<T>(name: string, what: () => Promise<T>): Promise<T> {
  try {
    const result = await what();
    steps += 1;
    console.log("ok ", name);
    return result;
  } catch (error) {
    console.log("FAILED ", name);
    console.error(error);
    process.exit(1);
  }
}

/** Of everything that a caller can be answered: what was wrong. */
function problem(error: Problem | undefined, kind: string): Problem {
  assert.ok(error, "an error was expected");
  assert.equal(error.type, `urn:referris:problem:${kind}`);
  return error;
}

const token = await step("an access token is had", async () => {
  const form = new URLSearchParams({
    grant_type: "password",
    client_id: "cli",
    username: settings.email,
    password: settings.password,
  });
  const answer = await fetch(`${settings.issuer}/oauth/token`, { method: "POST", body: form });
  const tokens = (await answer.json()) as { access_token: string };
  assert.equal(answer.status, 200);
  return tokens.access_token;
});

const api = createClient<paths>({ baseUrl: settings.api, headers: { Authorization: `Bearer ${token}` } });
const anon = createClient<paths>({ baseUrl: settings.api });

const made: Code = await step("a code is created", async () => {
  const { data, error, response } = await api.POST("/v1/referral-codes", {
    body: { expires_at: new Date(Date.now() + 86_400_000).toISOString(), max_uses: 5 },
    params: { header: { "Idempotency-Key": "typescript-1" } },
  });
  assert.equal(error, undefined);
  assert.equal(response.status, 201);
  assert.ok(data && response.headers.get("location")?.endsWith(data.code));
  // The type of an enumeration: a name that is none of them would not compile.
  assert.ok(data.status === "active");
  return data;
});

await step("it is read, and not sent again to who has it", async () => {
  const path = { code: made.code };
  const { data, response } = await api.GET("/v1/referral-codes/{code}", { params: { path } });
  assert.deepEqual(data, made);
  const tag = response.headers.get("etag");
  assert.ok(tag);
  const again = await api.GET("/v1/referral-codes/{code}", { params: { path, header: { "If-None-Match": tag } } });
  assert.equal(again.response.status, 304);
});

await step("it is in the list, and what is left is told", async () => {
  const { data, response } = await api.GET("/v1/referral-codes", { params: { query: { limit: 10 } } });
  assert.ok(data);
  assert.ok(data.items.some((code) => code.code === made.code));
  assert.equal(typeof data.next_cursor, "object", "null: there is one page");
  assert.ok(response.headers.get("x-request-id"));
});

await step("it is looked up by email address", async () => {
  const { data } = await api.GET("/v1/referral-codes/lookup", { params: { query: { email: settings.email } } });
  assert.equal(data?.code, made.code);
  assert.ok(data.share_url.startsWith(settings.issuer));
});

await step("the referrals are listed", async () => {
  const query = { status: "verified" as const };
  const { data } = await api.GET("/v1/referrers/{id}/referrals", { params: { path: { id: "me" }, query } });
  assert.deepEqual(data, { items: [], next_cursor: null });
});

await step("what is wrong is a problem with a type", async () => {
  const second = await api.POST("/v1/referral-codes", { body: { expires_at: "2020-01-01T00:00:00Z" } });
  const invalid = problem(second.error, "validation");
  assert.equal(invalid.status, 422);
  assert.deepEqual(invalid.errors?.map((fault) => fault.pointer), ["#/expires_at"]);
  const taken = await api.POST("/v1/referral-codes", {
    body: { expires_at: new Date(Date.now() + 86_400_000).toISOString() },
  });
  problem(taken.error, "code-active");
  const stranger = await anon.GET("/v1/referral-codes");
  problem(stranger.error, "unauthorized");
});

await step("it is deleted, and is gone for whoever looks it up", async () => {
  const { response } = await api.DELETE("/v1/referral-codes/{code}", { params: { path: { code: made.code } } });
  assert.equal(response.status, 204);
  const lookup = await api.GET("/v1/referral-codes/lookup", { params: { query: { email: settings.email } } });
  problem(lookup.error, "not-found");
  const { data } = await api.GET("/v1/referral-codes/{code}", { params: { path: { code: made.code } } });
  assert.equal(data?.status, "deleted");
});

/** Never called: each line is refused by the compiler, or this file does not compile. */
export async function whatTheCompilerRefuses(): Promise<void> {
  // @ts-expect-error There is no such path.
  await api.GET("/v1/referral-code");
  // @ts-expect-error The expiry is missing.
  await api.POST("/v1/referral-codes", { body: {} });
  // @ts-expect-error There is no such member.
  const body: components["schemas"]["NewCode"] = { expires_at: "2030-01-01T00:00:00Z", uses: 1 };
  // @ts-expect-error It is a number.
  await api.POST("/v1/referral-codes", { body: { ...body, max_uses: "many" } });
  // @ts-expect-error There is no such status.
  await api.GET("/v1/referrers/{id}/referrals", { params: { path: { id: "me" }, query: { status: "happy" } } });
  // @ts-expect-error The address is missing.
  await api.GET("/v1/referral-codes/lookup");
}

console.log(`the end, after ${steps} steps`);
