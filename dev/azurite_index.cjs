// Loaded into Azurite (3.35.0) before its own code: reads of rows use the indexes that its store keeps anyway.
//
// Azurite tests the $filter of a range read on every row of the table, whatever partition it is in, and finds a single
// row by walking its partition. So it takes 7 ms to find nothing in a table of 36,000 rows, and the square of a group's
// size to fill the group; Table Storage has an index and none of this. Here Azurite's own code sees only the rows that
// its index has between the keys of the filter, tests the whole filter on those, and answers as ever.
"use strict";

const { default: Store } = require("azurite/dist/src/table/persistence/LokiTableMetadataStore.js");

// What scim/store/table/wire.py asks. Other filters take Azurite's own way.
const RANGE = /^PartitionKey eq '(?:[^']|'')*' and RowKey ge '((?:[^']|'')*)' and RowKey lt '((?:[^']|'')*)'/;

const { getEntityCollection, queryTableEntities } = Store.prototype;

Store.prototype.getEntityCollection = function (...args) {
  const collection = getEntityCollection.apply(this, args);
  if (!Object.hasOwn(collection, "findOne")) {
    // A row's key is nearly unique among all tenants, its partition is not: the first of both is looked up by index.
    const findOne = ({ PartitionKey, RowKey }) => Object.getPrototypeOf(collection).findOne.call(collection, { RowKey, PartitionKey });
    Object.defineProperty(collection, "findOne", { value: findOne }); // not enumerable, so that it is not saved
  }
  return collection;
};

Store.prototype.queryTableEntities = function (context, account, table, options, partition, row) {
  const [, first = "", end = ""] = (RANGE.exec(options.filter ?? "") ?? []).map((key) => key.replaceAll("''", "'"));
  let store = this;
  // The index has texts that look like numbers apart from the others; behind one letter there are none of them.
  if (/^[a-z]/.test(first) && first[0] === end[0]) {
    const collection = this.getEntityCollection(account, table, context);
    const from = row === undefined ? first : this.decodeContinuationHeader(row);
    const chain = () => collection.chain().find({ RowKey: { $between: [from, end] } });
    store = Object.create(this, { getEntityCollection: { value: () => ({ chain }) } });
  }
  return queryTableEntities.call(store, context, account, table, options, partition, row);
};
