"""What the parts of bundle.json are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0, le=2**53)]


class Part(BaseModel):
    """A part of bundle.json: frozen, strict, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
