// On a narrow screen the list of sections starts closed, so that the report comes first.
"use strict";

document.querySelector("nav details").open = matchMedia("(min-width: 80rem)").matches;
