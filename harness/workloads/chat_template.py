"""How a language model's conversations are written: the template in its folder, another one, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.core.errors import KpiError
from harness.workloads.huggingface import linked_folder

NONE = "none"
"""In the workload's table: prompts are given to the model as they are."""
_CONFIG, _JINJA, _JSON = "tokenizer_config.json", "chat_template.jinja", "chat_template.json"
_RESERVED = frozenset({"add_generation_prompt", "chat_template", "messages", "tokenize", "tools"})
_CHOOSE = 'name the one that counts as chat_template = "FILE" in the workload\'s table'


def read_template(folder: Path) -> str | None:
    """The chat template of a model's folder, None where it has none.

    Looks into ``chat_template.jinja``, ``tokenizer_config.json`` (a text, or named templates of which ``default``
    counts) and ``chat_template.json``. KpiError where the choice is not clear, or a file can't be read.
    """
    if (folder / _JINJA).is_file():
        return (folder / _JINJA).read_text(encoding="utf-8")
    for name in (_CONFIG, _JSON):
        template = _object(folder / name).get("chat_template")
        if template:
            return template if isinstance(template, str) else _default(template, folder / name)
    return None


def folder_with_template(folder: Path, chosen: str | None, scratch: Path, *, needed: bool = True) -> Path:
    """A model's folder whose tokenizer has the ``chosen`` template: "none", the path of a file, None for its own.

    The folder itself where nothing has to be changed, else one below ``scratch`` that links to the model's files.
    KpiError where the model has none of its own and one is ``needed``.
    """
    if chosen is None:
        template = read_template(folder)
        if template is None:
            if not needed:
                return folder
            raise KpiError(
                f"the tokenizer in {folder.name} has no chat template",
                f'set chat_template = "{NONE}" in the workload\'s table for a base model, or name a file',
            )
        if (folder / _JINJA).is_file() or _object(folder / _CONFIG).get("chat_template") == template:
            return folder
    elif chosen == NONE:
        template = _plain_template(folder)
    else:
        template = read_file(chosen)
    config = json.dumps({**_object(folder / _CONFIG), "chat_template": template}, indent=2, ensure_ascii=False)
    return linked_folder(
        folder, scratch / "with-template" / folder.name, {_CONFIG: f"{config}\n", _JINJA: None, _JSON: None}
    )


def read_file(file: str) -> str:
    """The template in a file that the workload's table names; KpiError when it can't be read."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise KpiError(
            f"the chat template {Path(file).name} can't be read: {reason}", 'check chat_template, or write "none"'
        ) from None


def check_variables(template: str, variables: Mapping[str, Any]) -> None:
    """KpiError for a variable that the template does not mention: setting it would change nothing."""
    for name in variables:
        if name not in template:
            raise KpiError(f"the chat template has no variable {name}", "check the runtime's chat_template_kwargs")


def check_names(variables: Mapping[str, Any]) -> None:
    """ValueError for a name that no template could have, or that the runtime sets itself."""
    for name in variables:
        if name in _RESERVED:
            raise ValueError(f"chat_template_kwargs: {name} is set by the runtime")
        if not name.isidentifier():
            raise ValueError(f"chat_template_kwargs: {name!r} is not the name of a variable")


def _plain_template(folder: Path) -> str:
    """Writes the prompt as it is, behind the tokens that the tokenizer itself puts before a text."""
    from harness.workloads.torchvision_compat import before_transformers

    before_transformers()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    whole, plain = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
    count = next((n for n in range(len(whole)) if whole[n : n + len(plain)] == plain), 0)
    before = "".join(tokenizer.convert_ids_to_tokens(whole[:count]))
    return before + "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def _default(templates: Any, file: Path) -> str:
    """The template that counts among named ones: a list of names and templates, or a table."""
    if isinstance(templates, list):
        named = {entry.get("name"): entry.get("template") for entry in templates if isinstance(entry, dict)}
    else:
        named = dict(templates) if isinstance(templates, dict) else {}
    found = named.get("default") or (next(iter(named.values())) if len(named) == 1 else None)
    if not isinstance(found, str):
        names = ", ".join(map(str, named)) or "not readable"
        raise KpiError(f"the chat templates in {file.name} of {file.parent.name} are {names}, none is default", _CHOOSE)
    return found


def _object(file: Path) -> dict[str, Any]:
    """A JSON file's object, empty where the file is missing."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KpiError(f"{file.name} in {file.parent.name} can't be read: {error}", "fetch the model again") from None
    return data if isinstance(data, dict) else {}
