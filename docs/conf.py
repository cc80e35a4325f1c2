"""How Sphinx builds the documentation: `make docs`, from Markdown and docstrings, without the network.

Every warning is an error there: a link that leads nowhere, a page that no list names, a role in a docstring that names
something that does not exist.
"""

import importlib
from typing import Any

from sphinx.application import Sphinx

from truesocket import __version__

project = "truesocket"
author = "truesocket contributors"
copyright = "truesocket contributors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
highlight_language = "none"  # a block without a language is a command line
html_theme = "furo"
html_title = f"truesocket {release}"
html_show_sourcelink = False
html_copy_source = False

# Markdown: headings can be linked to (page.md#heading), as on the pages of a code host.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# The reference: signatures and docstrings as they stand in the source. Types stay short: `Hashable`, not its module.
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 100

# A name of ours that docstrings link to must exist; Python's and Flask's are not looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!truesocket).*")]

PUBLIC = ("truesocket", "truesocket.flask", "truesocket.testing")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", link_to_the_public_name)
    app.connect("warn-missing-reference", lambda app, domain, node: find(node.get("reftarget", "")) is not None)


def link_to_the_public_name(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """`truesocket.core.server.Server` is in the reference as `truesocket.Server`."""
    if node.get("refdomain") != "py":
        return None
    found = find(node["reftarget"])
    for module in PUBLIC if found is not None else ():
        for name in importlib.import_module(module).__all__:
            if getattr(importlib.import_module(module), name) is found:
                target = f"{module}.{name}"
                linked = env.domains["py"].resolve_xref(
                    env, node["refdoc"], app.builder, node["reftype"], target, node, content
                )
                if linked is not None:
                    return linked
    return None


def find(target: str) -> object:
    """What a dotted name of ours stands for: a module, a class, a method; `None` where there is no such thing."""
    parts = target.split(".")
    for length in range(len(parts), 0, -1) if parts[0] == "truesocket" else ():
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found
    return None
