"""Files of every quantifier and library, brought into one form: AnnData with layers of counts."""

from __future__ import annotations

from velovi.data.formats.recognise import (
    SourceFormat,
    may_be_source,
    recognise,
    sources_below,
    title_of,
)

__all__ = ["SourceFormat", "may_be_source", "recognise", "sources_below", "title_of"]
