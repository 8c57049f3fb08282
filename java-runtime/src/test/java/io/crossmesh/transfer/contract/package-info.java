/** Tests of what every transport keeps to; other modules run them over theirs. */
@NullMarked
package io.crossmesh.transfer.contract;

import org.jspecify.annotations.NullMarked;
