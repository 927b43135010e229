"""What OpenAI's own client gets from a server: python3 openai_client.py ADDRESS MODEL. Run by tests/server/official.rs."""

import sys

import openai

address, model = sys.argv[1:]
client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)
checks = 0


def check(what, holds, seen=None):
    global checks
    checks += 1
    if not holds:
        sys.exit(f"openai_client: {what}: {seen!r}")


def refused(kind, parameter, call):
    global checks
    try:
        call()
    except kind as refusal:
        body = refusal.body
        check("an error's parameter", body["param"] == parameter, body)
        check("an error's message", body["message"], body)
        return
    sys.exit(f"openai_client: expected {kind.__name__}, got an answer")


models = client.models.list().data
check("models", [m.id for m in models] == [model] and models[0].object == "model", models)
check("a model", client.models.retrieve(model).id == model)

# Chats.
messages = [{"role": "system", "content": "short"}, {"role": "user", "content": "the cat in the hat"}]
plain = dict(model=model, messages=messages, max_tokens=12, temperature=0)
chat = client.chat.completions.create(**plain)
choice = chat.choices[0]
check("a chat's kind", chat.object == "chat.completion" and chat.model == model, chat)
check("who answers", choice.message.role == "assistant", choice)
check("why it ended", choice.finish_reason in ("stop", "length"), choice)
check("usage", chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens, chat.usage)
check("tokens", 0 < chat.usage.completion_tokens <= 12, chat.usage)
check("the same again", client.chat.completions.create(**plain).choices[0].message.content == choice.message.content)

streamed = list(client.chat.completions.create(**plain, stream=True, stream_options={"include_usage": True}))
text = "".join(part.choices[0].delta.content or "" for part in streamed if part.choices)
check("a stream's text", text == choice.message.content, text)
check("a stream's usage", streamed[-1].usage == chat.usage, streamed[-1])
check("a stream's end", [p.choices[0].finish_reason for p in streamed if p.choices][-1] == choice.finish_reason, streamed)

told = client.chat.completions.create(**plain, logprobs=True, top_logprobs=3, n=2, seed=5)
check("two choices", [c.index for c in told.choices] == [0, 1], told)
for token in told.choices[0].logprobs.content:
    check("probabilities", len(token.top_logprobs) == 3 and token.logprob <= 0, token)
    check("the likeliest", token.top_logprobs[0].logprob >= token.logprob, token)

# Completions.
plain = dict(model=model, prompt="the cat", max_tokens=12, temperature=0)
whole = client.completions.create(**plain, logprobs=2)
choice = whole.choices[0]
check("a completion's kind", whole.object == "text_completion", whole)
check("a completion's probabilities", len(choice.logprobs.tokens) == len(choice.logprobs.token_logprobs) > 0, choice)
parts = client.completions.create(**plain, stream=True)
check("a completion's stream", "".join(p.choices[0].text for p in parts) == choice.text, choice.text)
several = client.completions.create(model=model, prompt=[[5, 6, 7], [8]], max_tokens=3)
check("several prompts", len(several.choices) == 2 and several.usage.prompt_tokens == 4, several)

# Refusals.
refused(openai.BadRequestError, "temperature", lambda: client.completions.create(**{**plain, "temperature": 9}))
refused(openai.BadRequestError, "max_tokens", lambda: client.completions.create(**{**plain, "max_tokens": 100000}))
refused(openai.BadRequestError, "messages", lambda: client.chat.completions.create(model=model, messages=[]))
refused(openai.BadRequestError, "model", lambda: client.completions.create(**{**plain, "model": "another"}))
refused(openai.NotFoundError, None, lambda: client.embeddings.create(model=model, input="x"))

# A client that leaves in the middle.
with client.completions.create(**{**plain, "max_tokens": 400}, stream=True) as parts:
    next(iter(parts))
check("it goes on", client.completions.create(**plain).choices[0].text == choice.text)

print(f"openai {openai.__version__}: {checks} checks passed")
