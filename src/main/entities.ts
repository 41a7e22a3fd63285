/** Every entity of the ORM, each feature's own lines; the tables come from migrations/, never from here. */
export const ENTITIES: readonly unknown[] = [];
