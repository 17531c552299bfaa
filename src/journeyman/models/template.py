"""The prompt and its loss mask, made in one place for tuning, evaluation and serving.

A template is a Jinja chat template over ``messages``. What a user wrote can never become a control token: the template
is rendered with marks in place of the contents, control tokens are found in what the *template* wrote, and only then are
the contents put back as plain text. For text without control tokens the ids are those of the rendered string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from journeyman.core.canonical import bytes_hash
from journeyman.core.errors import ModelError
from journeyman.core.messages import Message
from journeyman.models.gguf_header import read_fields
from journeyman.models.tokenizer import Tokenizer, load_tokenizer

# A student's prompt carries no instruction: it is in the weights. The turns keep the form that the base was taught in, without a
# default system message: on dev ChatML is worth 7 points over the bare text, to a base that was taught it; to one that was not it is worth
# nothing, and costs a fifth of the tokens (docs/notebook.md).
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GEMMA_TURNS = (
    "{% for message in messages %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n'"
    " + message['content'] + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
HEADERS = (
    "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content']"
    " + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
BARE = "{% for message in messages %}{{ message['content'] + '\\n' }}{% endfor %}"
PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
# For bases that were taught no turns: a lone text is a line, and what has more parts needs their marks.
LONE = (
    "{% if messages|length == 1 or (messages|length == 2 and messages[1]['role'] == 'assistant') %}"
    "{{ messages[0]['content'] + '\\n' }}{% if messages|length == 2 %}{{ messages[1]['content'] }}{% endif %}{% else %}"
)
# The control token that opens a turn -> the turns' form.
TURNS = {"<|im_start|>": CHATML, "<start_of_turn>": GEMMA_TURNS, "<|start_header_id|>": HEADERS}
OPEN, CLOSE = "\ue000", "\ue001"


@dataclass(frozen=True)
class Supervised:
    """Token ids of prompt and answer; the loss is taken on ``ids[start:]``, the answer with its end-of-turn token."""

    ids: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class Template:
    source: str
    tokenizer: Tokenizer

    @property
    def hash(self) -> str:
        return bytes_hash(self.source.encode())

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt as one string, as llama.cpp or Ollama would write it."""
        return self._fill(self._marked(messages), messages)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the prompt up to where the answer begins."""
        ids: list[int] = [] if self.tokenizer.bos is None else [self.tokenizer.bos]
        for run in self._special.split(self._marked(messages)):
            if run in self.tokenizer.special:
                ids.append(self.tokenizer.special[run])
            elif run:
                ids.extend(self.tokenizer.encode(self._fill(run, messages)))
        return ids

    def supervise(self, messages: Sequence[Message], answer: str) -> Supervised:
        """Prompt, answer and end-of-turn, with the span that carries the loss."""
        prompt = self.prompt_ids(messages)
        return Supervised((*prompt, *self.tokenizer.encode(answer), self.tokenizer.end), len(prompt))

    def _marked(self, messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": f"{OPEN}{index}{CLOSE}"} for index, message in enumerate(messages)]
        try:
            return str(self._compiled.render(messages=turns, add_generation_prompt=True))
        except TemplateError as error:
            raise ModelError(
                "JM-407",
                "the chat template does not accept these messages",
                got=str(error),
                hint="use a base model whose template takes these roles",
            ) from error

    @staticmethod
    def _fill(text: str, messages: Sequence[Message]) -> str:
        return re.sub(f"{OPEN}(\\d+){CLOSE}", lambda match: messages[int(match[1])].text, text)

    @cached_property
    def _compiled(self):  # type: ignore[no-untyped-def]  # jinja2's template class is generated
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(self.source)

    @cached_property
    def _special(self) -> re.Pattern[str]:
        tokens = sorted(self.tokenizer.special, key=len, reverse=True)
        return re.compile("(" + "|".join(map(re.escape, tokens)) + ")") if tokens else re.compile("(?!)")


@dataclass(frozen=True)
class Turn:
    """What a template writes around one user's text and the answer to it: ``before``, ``between``, and ``stop`` after it (may be empty)."""

    before: str
    between: str
    stop: str


def read_turn(source: str) -> Turn:
    """The parts of a one-turn prompt, for tools that take a prompt as text."""
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(source)
    user, answer = {"role": "user", "content": OPEN}, {"role": "assistant", "content": CLOSE}
    before, _, between = template.render(messages=[user], add_generation_prompt=True).partition(OPEN)
    after = template.render(messages=[user, answer], add_generation_prompt=False).partition(CLOSE)[2]
    return Turn(before, between, after.strip())


def load_base_template(path: Path) -> Template:
    """The chat template that a GGUF carries, for the untuned base; one that carries none is asked as its students are.

    Raises:
        ModelError: JM-405 unreadable.
    """
    source = read_fields(path).get("tokenizer.chat_template")
    return Template(source, load_tokenizer(path)) if isinstance(source, str) else make_student_template(path)


def make_student_template(path: Path) -> Template:
    """The template of students on the base at ``path``: turns in the form that its vocabulary has tokens for, else bare lines.

    A base without a chat template of its own was taught no turns, and has them only where there is more than one text.
    """
    tokenizer = load_tokenizer(path)
    turns = next((form for token, form in TURNS.items() if token in tokenizer.special), BARE)
    is_taught = "tokenizer.chat_template" in read_fields(path)
    return Template(turns if is_taught or turns == BARE else f"{LONE}{turns}{{% endif %}}", tokenizer)
