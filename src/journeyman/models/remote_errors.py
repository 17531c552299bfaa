"""What goes wrong with a provider behind an address, as typed errors in which its key never stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from journeyman.core.errors import ModelError
from journeyman.models.bounded import TooLong

RETRYABLE_STATUS = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class Failures:
    """Of calls to ``url`` for ``model``. ``shape`` and ``reply`` say what is expected there."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    shape: str = "an OpenAI-shaped API"
    reply: str = "a chat completion"

    def refused(self, status: int, said: str) -> ModelError:
        """By a status other than 200: JM-431 busy or failing, JM-432 the request was refused, JM-433 the key was, JM-445 another address was named."""
        got = f"{status}: {self.without_key(said)[:400]}"
        if 300 <= status < 400:
            return refuse_redirect(self.url, str(status))
        if status in (401, 403):
            hint = "check the variable that teacher.api_key_env, or the provider's own api_key_env, names"
            return ModelError("JM-433", "the provider refused the key", where=self.url, got=got, hint=hint)
        if status in RETRYABLE_STATUS or status >= 500:
            hint = "wait a little and call again"
            return ModelError(
                "JM-431", "the provider is busy or failing", where=self.url, got=got, hint=hint, retryable=True
            )
        hint = f"check the model's name ({self.model}) and the address"
        return ModelError("JM-432", "the provider refused this request", where=self.url, got=got, hint=hint)

    def unreachable(self, error: BaseException) -> ModelError:
        if isinstance(error, TooLong):
            return self.unreadable(str(error))
        said = self.without_key(str(error))
        return ModelError(
            "JM-430",
            "the provider cannot be reached, or did not answer in time",
            where=self.url,
            got=f"{type(error).__name__}{': ' + said if said else ''}",
            hint="check the address and the network, then call again",
            retryable=True,
        )

    def unreadable(self, said: str) -> ModelError:
        return ModelError(
            "JM-434",
            f"the provider's reply is not {self.reply}",
            where=self.url,
            got=self.without_key(said)[:400],
            hint=f"check that the address is {self.shape}",
        )

    def without_key(self, text: str) -> str:
        return text.replace(self.key, "[key]") if self.key else text


def refuse_redirect(where: str, got: str) -> ModelError:
    """The key goes to the addresses that the project names, and to no other."""
    return ModelError(
        "JM-445",
        "the provider sends calls on to another address, which is not followed",
        where=where,
        expected="an answer from the address that journeyman.toml names",
        got=got,
        hint="write the address that answers itself into url",
    )
