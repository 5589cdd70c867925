"""Files of every quantifier and library, brought into one form: AnnData with layers of counts."""

from __future__ import annotations

from velovi.data.formats.recognise import SourceFormat, recognise

__all__ = ["SourceFormat", "recognise"]
