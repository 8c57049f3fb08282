package io.crossmesh.transfer;

import io.crossmesh.Code;

/** Why a step or a channel ended: what its participants are told. */
record Failure(Code code, String message) {}
